# SPDX-License-Identifier: MIT
"""The lab's configuration of one board or one kind of VM."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config import board_keys, boot_keys, commands, group_keys, typed

COMMON_KIND = "qemu"
"""The ``client_type`` of nearly all types of VMs."""

_BOOT_COMMANDS = "boot_cmds"
"""The beginning of keys whose names are free: a job chooses boot commands by them."""
_PORT = "connection_command_"
"""The beginning of keys whose names are free: each is the command for another serial port."""
_PORT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CLOSE = 0.85
"""How similar a mistyped key is to the right one, from 0 to 1."""


def has_free_name(key: str) -> bool:
    """Return True if a key may have any ending, which the lab chooses."""
    return key.startswith((_BOOT_COMMANDS, _PORT))


# Dataclasses collect the fields from the last base to the first.
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig(
    group_keys.VMKeys,
    group_keys.HostKeys,
    board_keys.VexpressKeys,
    board_keys.MasterKeys,
    boot_keys.SystemKeys,
    boot_keys.KernelKeys,
    boot_keys.BootLoaderKeys,
    board_keys.MediumKeys,
    board_keys.ConsoleKeys,
    board_keys.SharingKeys,
    board_keys.IdentityKeys,
):
    """The configuration of one board, or of one kind of VM, under v1's names.

    The base classes have its keys.  Durations are seconds.  "" and None mean that there is no such
    thing.  Commands run in a shell on the dispatcher's machine, except those that are typed at a
    prompt.
    """

    job_boot_cmds: tuple[str, ...] = field(default=(), metadata=typed.NO_KEY)
    """The job's own boot commands, one an item; they replace the configuration's."""
    boot_cmds_key: str = field(default="", metadata=typed.NO_KEY)
    """The key whose boot commands the job chose, in place of the one for its deployment."""
    other_methods: tuple[str, ...] = field(default=(), metadata=typed.NO_KEY)
    """The boot methods of a LAVA v2 device dictionary that this program cannot do."""
    environment: Mapping[str, str] = field(
        default_factory=typed.nothing, repr=False, metadata=typed.NO_KEY
    )
    """Environment variables of the commands for the console, the power and the boot medium."""
    extra: Mapping[str, str] = field(
        default_factory=typed.nothing, repr=False, compare=False, metadata=typed.NO_KEY
    )
    """The other keys of the files: v1 allows them, and values may refer to them."""
    sources: Mapping[str, str] = field(
        default_factory=typed.nothing, repr=False, compare=False, metadata=typed.NO_KEY
    )
    """The file and the key, for messages, of each key that a file set."""

    def doubts(self) -> Iterator[str]:
        """Yield a message for each key that nothing reads and that may be a mistyped one.

        Other unknown keys are left out: v1's files have many, and values may refer to them.
        """
        known = typed.key_names(type(self))
        for key in self.extra:
            close = difflib.get_close_matches(key, known, n=1, cutoff=_CLOSE)
            if key.startswith(_PORT) and close and close[0].startswith(_PORT):
                # A port of a LAVA dictionary may have such a name with "_" after it.
                if key.endswith("_"):
                    continue
                yield f"{self.place(key)}: a port to be recorded; did you mean {close[0]}?"
            elif close and not has_free_name(key):
                yield f"{self.place(key)}: unknown key, so it is ignored; did you mean {close[0]}?"

    @property
    def driver(self) -> str:
        """The name of the driver: the client type, or for a ``dummy`` its driver."""
        return self.dummy_driver if self.client_type == "dummy" else self.client_type

    def place(self, key: str) -> str:
        """Return the file and the key that a value comes from, for messages."""
        return self.sources.get(key, f"{self.hostname or self.device_type}: {key}")

    @property
    def other_ports(self) -> Mapping[str, str]:
        """The commands for the board's serial ports beside the console, by the ports' names."""
        return {
            key.removeprefix(_PORT): command
            for key, command in self.extra.items()
            if key.startswith(_PORT) and command
        }

    def check_ports(self) -> None:
        """Raise ConfigurationError for a port whose name cannot be that of a file."""
        for name in self.other_ports:
            if not _PORT_NAME.fullmatch(name):
                raise ConfigurationError(
                    f"{self.place(_PORT + name)}: a port's name has letters, digits, _ and -",
                    hint=f"write for example {_PORT}uart1",
                )

    @property
    def is_shared_out(self) -> bool:
        """True if a broker outside of this program shares the device out."""
        return bool(self.labgrid_place or self.labgrid_tags or self.acquire_command)

    @property
    def is_qemu(self) -> bool:
        """True for a VM of QEMU, False for a board and for other kinds of VM."""
        return self.client_type == COMMON_KIND

    def typing_delay_s(self, system: str) -> float:
        """Return the seconds between two characters typed to `system`.

        `system` is ``bootloader``, ``test_shell`` or ``master_image``.
        """
        delay_ms: int = getattr(self, f"{system}_serial_delay_ms")
        return delay_ms / 1000 if self.send_char else 0.0

    @property
    def boot_tags(self) -> Mapping[str, str]:
        """The values of the ``boot_options``, as tags for boot commands."""
        return {
            name.upper(): section.get("default", "")
            for name, section in self.boot_options.items()
            if name != "boot_cmds"
        }

    def has_key(self, key: str) -> bool:
        """Return True if the configuration has a text under `key`, a key of v1 or of the lab."""
        return isinstance(getattr(self, key, None), str) or key in self.extra

    def boot_commands(self, key: str = "boot_cmds") -> tuple[commands.BootCommand, ...]:
        """Return a board's boot commands: the job's own, or those under `key`.

        A key that the job chose takes the place of `key`.  Raises ConfigurationError if the
        commands are malformed or refer to a key that is not set.
        """
        if self.job_boot_cmds:
            return commands.parse_lines(self.job_boot_cmds, place="the job's boot_cmds")
        return commands.parse_list(*self._chosen(key))

    def kernel_arguments(self, key: str = "boot_cmds") -> str:
        """Return a VM's kernel command line: the job's own, or the text under `key`.

        A key that the job chose takes the place of `key`.  In its text the ``boot_options`` replace
        their tags.  Raises ConfigurationError if the text refers to a key that is not set.
        """
        if self.job_boot_cmds:
            return " ".join(self.job_boot_cmds)
        line, _ = self._chosen(key)
        for name, value in self.boot_tags.items():
            line = line.replace(f"{{{name}}}", value)
        return commands.kernel_arguments(line)

    def _chosen(self, key: str) -> tuple[str, str]:
        key = self.boot_cmds_key or key
        text = getattr(self, key, None)
        if not isinstance(text, str):
            text = self.extra[key]
        if name := self._unset(text):
            raise ConfigurationError(
                f"{self.place(key)} refers to %({name})s, which is not set",
                hint=f"set {name} for the device",
            )
        return text, self.place(key)

    def _unset(self, text: str) -> str:
        """Return the first unset key that a text refers to, directly or by other keys, or ""."""
        for name in re.findall(r"%\(([^()]+)\)s", text):
            key = name.lower()
            if not hasattr(self, key) and key not in self.extra:
                return str(name)
            value = getattr(self, key, self.extra.get(key))
            if isinstance(value, str) and (deeper := self._unset(value)):
                return deeper
        return ""
