# SPDX-License-Identifier: MIT
"""The lab's configuration of one board or one kind of VM.

The file ``default-config/lava-dispatcher/device-defaults.conf`` explains each key.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config import commands, typed
from lava_vmgroup.config.typed import (
    Count,
    Positive,
    Regex,
    RemoteFolder,
    Scale,
    Seconds,
    Sections,
    ShellWords,
)

KNOWN_PROMPTS = (
    # The comments show prompts that fit: root@host:~# and root@host ~# and root@host#
    r"(\([^()]{1,40}\) ?)?root@[\w().-]{1,64}([: ] ?[^#\[\]]{1,200})? ?#",
    r"(\([^()]{1,40}\) ?)?\[(root@)?[\w().-]{1,64}[: ][^#\[\]]{1,200}\] ?#",  # [root@host ~]#
    r"[\w.-]{1,64}[: ] ?[~/][^\s#]{0,200} ?#",  # host:~ #
    r"([~/][^\s#]{0,200} ?)?#",  # / # and # alone
    r"[A-Za-z][\w.-]{0,63} ?#",  # host# and sh-5.2#
    r"[\w-]{1,40} \[rc=\d{0,3}\]#",
    r"└─#",
)
"""Patterns of a root shell's prompt on nearly every system; each fits a whole line."""


class QemuArch(enum.Enum):
    """The architecture of a guest."""

    HOST = "host"
    """The host's own architecture."""
    AARCH32 = "aarch32"
    AARCH64 = "aarch64"
    X86_64 = "x86_64"


class QemuNetwork(enum.Enum):
    """A network that a VM has a card in."""

    USER = "user"
    """QEMU's own network for this VM alone: it has a DHCP server and leads out through the host."""
    GROUP = "group"
    """The network that the group's VMs share with each other and with the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAddresses:
    """The addresses to which U-Boot loads files, in U-Boot's notation (hexadecimal).

    Raises ValueError for an address that is not hexadecimal.
    """

    kernel: str
    ramdisk: str
    dtb: str

    def __post_init__(self) -> None:
        for address in (self.kernel, self.ramdisk, self.dtb):
            try:
                int(address, 16)
            except ValueError:
                raise ValueError(f"hexadecimal addresses, not {address!r}") from None


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """The configuration of one board, or of one kind of VM, under v1's names.

    Durations are seconds.  "" and None mean that there is no such thing.  Commands run in a shell
    on the dispatcher's machine, except those that are typed at a prompt.
    """

    hostname: str = ""
    device_type: str = ""
    client_type: str = "master"

    connection_command: str = field(
        default="", metadata=typed.refers("conmux-console %(hostname)s")
    )
    connection_command_pattern: Regex = r"Connected\.\r"
    connection_command_terminate: str = ""
    connection_timeout: Seconds = 60.0
    pre_connect_command: str = ""
    reset_port_command: str = ""
    hard_reset_command: str = ""
    power_on_cmd: str = ""
    power_off_cmd: str = ""
    soft_boot_cmd: str = "reboot"
    pre_power_cmd: str = ""
    pre_os_cmd: str = ""
    console_silence: Seconds = 0.0
    timeout_scale: Scale = 1.0
    send_char: bool = True
    bootloader_serial_delay_ms: Count = 0
    test_shell_serial_delay_ms: Count = 0
    master_image_serial_delay_ms: Count = 0

    media_device: Path | None = None
    media_attach_command: str = ""
    media_detach_command: str = ""

    bootloader_prompt: Regex = "#"
    interrupt_boot_prompt: Regex = (
        r"(?i)(stop|abort|cancel|interrupt) (the )?auto-?boot|autoboot in \d"
    )
    interrupt_boot_command: str = "b"
    interrupt_boot_control_character: str = ""
    bootloader_timeout: Seconds = 120.0
    boot_cmd_timeout: Seconds = 10.0
    pre_boot_cmd: str = ""
    boot_cmds: str = field(default="", metadata=typed.LATE)
    boot_cmds_oe: str = field(default="", metadata=typed.LATE)
    boot_cmds_ramdisk: str = field(default="", metadata=typed.LATE)
    boot_cmds_nfs: str = field(default="", metadata=typed.LATE)
    boot_cmds_master: str = field(default="", metadata=typed.LATE)
    boot_options: Sections = field(default_factory=_nothing)
    boot_retries: Positive = 3
    boot_part: Positive = 1
    root_part: Positive = 2
    root_device: str = field(default="/dev/vda2", metadata=typed.refers("/dev/vda%(root_part)s"))

    u_load_addrs: LoadAddresses | None = None
    z_load_addrs: LoadAddresses | None = None
    uimage_only: bool = False
    uimage_arch: str = "arm"
    uimage_xip: bool = False
    multi_image_only: bool = False
    text_offset: str = ""
    append_dtb: bool = False
    ramdisk_raw: bool = False
    prepend_blob: str = ""
    use_lava_tmpdir: bool = True
    alternative_dir: Path | None = None
    alternative_create_tmpdir: bool = True

    image_boot_msg: Regex = "Linux version"
    image_boot_msg_timeout: Seconds = 120.0
    kernel_boot_msg: Regex = (
        r"Freeing unused kernel (memory|image)|Freeing init memory"  # the words changed over time
    )
    kernel_boot_msg_timeout: Seconds = 120.0
    has_kernel_messages: bool = True
    boot_linaro_timeout: Seconds = 300.0
    extended_boot_timeout: Seconds = 3600.0
    test_image_prompts: tuple[Regex, ...] = KNOWN_PROMPTS
    login_prompt: Regex = ""
    username: str = ""
    password_prompt: Regex = ""
    password: str = field(default="", repr=False)
    login_commands: tuple[str, ...] = ()

    master_str: str = "root@master"
    master_kernel: str = ""
    master_ramdisk: str = ""
    master_dtb: str = ""
    master_nfsrootfs: str = ""
    master_testdisk: str = ""
    master_testdisk_id: str = ""
    master_login_prompt: Regex = ""
    master_username: str = ""
    master_password_prompt: Regex = ""
    master_password: str = field(default="", repr=False)
    master_login_commands: tuple[str, ...] = ()

    vexpress_complete_firmware: bool = False
    vexpress_flash_range_low: str = "0x0FFC0000"
    vexpress_flash_range_high: str = "0x0FFEFFFF"
    vexpress_stop_autoboot_prompt: Regex = r"Press Enter to stop auto boot\.\.\."
    vexpress_usb_mass_storage_device: Path = Path("/dev/disk/by-label/VEMSD")
    vexpress_uefi_path: str = "SOFTWARE/TC2/uefi.bin"
    vexpress_uefi_backup_path: str = "SOFTWARE/TC2/backup-uefi.bin"
    vexpress_uefi_default: str = ""
    vexpress_bl0_path: str = ""
    vexpress_bl1_path: str = ""
    vexpress_mount_command: str = field(
        default="mount /dev/disk/by-label/VEMSD {MOUNT_POINT}",
        metadata=typed.refers("mount %(vexpress_usb_mass_storage_device)s {MOUNT_POINT}"),
    )
    vexpress_umount_command: str = "umount {MOUNT_POINT}"

    dummy_driver: str = ""
    dummy_ssh_host: str = ""
    dummy_ssh_port: Positive = 22
    dummy_ssh_username: str = "root"
    dummy_ssh_identity_file: Path | None = None
    ssh_host: str = field(default="", metadata=typed.refers("%(dummy_ssh_host)s"))
    ssh_port: Positive = field(default=22, metadata=typed.refers("%(dummy_ssh_port)s"))
    ssh_username: str = field(default="root", metadata=typed.refers("%(dummy_ssh_username)s"))
    ssh_identity_file: Path | None = field(
        default=None, metadata=typed.refers("%(dummy_ssh_identity_file)s")
    )

    ssh_known_hosts: tuple[Path, ...] = ()
    vm_folder: RemoteFolder = "/lava-vm-images"
    vm_store_limit: Count = 0
    host_heartbeat_timeout: Positive = 30

    qemu_arch: QemuArch = QemuArch.HOST
    qemu_machine: str = ""
    qemu_cpu: str = ""
    qemu_memory: Positive = 512
    qemu_smp: Positive = 1
    qemu_console: str = ""
    qemu_binary: str = ""
    qemu_options: ShellWords = ()
    qemu_host_cpus: ShellWords = ()
    qemu_networks: tuple[QemuNetwork, ...] = (QemuNetwork.USER, QemuNetwork.GROUP)

    job_boot_cmds: tuple[str, ...] = field(default=(), metadata=typed.NO_KEY)
    """The job's own boot commands, one an item; they replace the configuration's."""
    boot_cmds_key: str = field(default="", metadata=typed.NO_KEY)
    """The key whose boot commands the job chose, in place of the one for its deployment."""
    extra: Mapping[str, str] = field(
        default_factory=_nothing, repr=False, compare=False, metadata=typed.NO_KEY
    )
    """The other keys of the files: v1 allows them, and values may refer to them."""
    sources: Mapping[str, str] = field(
        default_factory=_nothing, repr=False, compare=False, metadata=typed.NO_KEY
    )
    """The file and the key, for messages, of each key that a file set."""

    @property
    def driver(self) -> str:
        """The name of the driver: the client type, or for a ``dummy`` its driver."""
        return self.dummy_driver if self.client_type == "dummy" else self.client_type

    def place(self, key: str) -> str:
        """Return the file and the key that a value comes from, for messages."""
        return self.sources.get(key, f"{self.hostname or self.device_type}: {key}")

    @property
    def is_vm(self) -> bool:
        """True for a kind of VM, False for a board."""
        return self.client_type == "qemu"

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
