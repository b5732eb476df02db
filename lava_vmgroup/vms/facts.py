# SPDX-License-Identifier: MIT
"""The questions to a host about its properties, all in one script.

A slow host takes long to start a program, so the script starts few.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.link import Link
from lava_vmgroup.vms.kernel_log import PATTERN, without_stamp

_ASK_S = 60.0

_VERSION = re.compile(r"(?P<program>.+?)=.*?version (?P<version>[0-9]+(?:\.[0-9]+)*)")


class Arch(enum.Enum):
    """The instruction set of a host or a guest."""

    AARCH32 = "aarch32"
    AARCH64 = "aarch64"
    X86_64 = "x86_64"


_MACHINE_NAMES = {
    "aarch64": Arch.AARCH64,
    "armv7l": Arch.AARCH32,
    "armv8l": Arch.AARCH32,
    "x86_64": Arch.X86_64,
}
"""The architectures by the names that ``uname -m`` prints."""

QEMU_PROGRAMS = ("qemu-system-arm", "qemu-system-aarch64", "qemu-system-x86_64")
"""The programs that are looked for on a host."""


FIRMWARE = {
    Arch.AARCH64: (
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
        "/usr/lib/u-boot/qemu_arm64/u-boot.bin",
    ),
    Arch.AARCH32: ("/usr/lib/u-boot/qemu_arm/u-boot.bin",),
    Arch.X86_64: (),
}
"""Firmware for images without a boot configuration, best first.  QEMU for x86 has its own."""

TOOLS = ("flock", "ip", "tar", "taskset", "truncate")
"""The programs, beside QEMU, that the package uses on a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The facts about a host, as `ask` reads them."""

    machine: str
    """The architecture as ``uname -m`` prints it."""
    memory_mib: int
    kvm_opens: bool
    """True if ``/dev/kvm`` opens.  Some guests may still not run with KVM."""
    qemu_programs: frozenset[str]
    """The ``qemu-system-*`` programs found on the host."""
    firmware: frozenset[str]
    """Firmware images found on the host, as paths."""
    kvm_exists: bool = False
    """True if ``/dev/kvm`` exists."""
    kernel_log: tuple[str, ...] = ()
    """The kernel's lines about KVM, and about the exception level in which it was started."""
    kernel_log_opens: bool = True
    """True if the kernel's log can be read."""
    cpus: int = 0
    cpu_flags: frozenset[str] = frozenset()
    """The flags for virtualization of an x86 processor: ``vmx`` or ``svm``."""
    gic: str = ""
    """The interrupt controller of an ARM host, such as ``GICv3``; empty if it is unknown."""
    available_mib: int = 0
    """The memory that is available to new programs, ``MemAvailable`` in ``/proc/meminfo``."""
    free_bytes: int | None = None
    """The free bytes of the file system for VMs' files; None if they are unknown."""
    tools: frozenset[str] = frozenset()
    """The programs that the host has of `TOOLS`."""
    sftp: bool = True
    """True if sshd starts its SFTP server."""
    qemu_versions: Mapping[str, str] = field(default_factory=dict)
    """The versions of QEMU programs, by program; only of those that were asked for one."""
    there: frozenset[str] = frozenset()
    """The words, such as ``module:kvm``, that the host was asked for and has."""

    @property
    def known_arch(self) -> Arch | None:
        """The architecture; None if it is none of `Arch`."""
        return _MACHINE_NAMES.get(self.machine)

    @property
    def arch(self) -> Arch:
        """The architecture; raises `InfrastructureError` for an unknown one."""
        return arch_of(self.machine)

    @property
    def is_arm(self) -> bool:
        """True if the processor is an ARM one of any kind."""
        return self.machine.startswith(("arm", "aarch64"))


def arch_of(machine: str) -> Arch:
    """Return the architecture of a `machine`, a name that ``uname -m`` prints.

    Raises `InfrastructureError` for an unknown one.
    """
    try:
        return _MACHINE_NAMES[machine]
    except KeyError:
        raise InfrastructureError(
            f"the host is of an unknown architecture, {machine!r}",
            hint=f"known: {', '.join(_MACHINE_NAMES)}",
        ) from None


def ask(folder: str, questions: Iterable[str], link: Link, deadline: Deadline) -> HostFacts:
    """Ask the host for its facts, and return them.

    `folder` is the folder for VMs' files; it need not exist yet.  `questions` are words of
    ``requires`` and ``version:PROGRAM``, asked beside the usual ones.  Blocks for 60 s at most, on
    usual hardware.  Raises `InfrastructureError` if the script fails, and the errors of
    `Deadline.check`.
    """
    limit = deadline.sub("looking at the host", _ASK_S)
    firmware = [path for group in FIRMWARE.values() for path in group]
    usual = [
        *(f"qemu:{name}" for name in QEMU_PROGRAMS),
        *(f"file:{path}" for path in firmware),
        *(f"command:{name}" for name in TOOLS),
    ]
    words = dict.fromkeys([*usual, *questions])
    output = link.check_run(sh_command("vms/facts.sh", folder, PATTERN, *words), limit)
    said: defaultdict[str, list[str]] = defaultdict(list)
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        said[key].append(value)

    def number(key: str) -> int | None:
        return next((int(value) for value in said[key] if re.fullmatch("[0-9]{1,15}", value)), None)

    there = frozenset(said["has"])
    free_kib = number("free")
    versions = (_VERSION.match(value) for value in said["version"])
    return HostFacts(
        machine="".join(said["machine"]),
        memory_mib=(number("memory") or 0) // 1024,
        available_mib=(number("available") or 0) // 1024,
        cpus=number("cpus") or 0,
        cpu_flags=frozenset(said["flag"]),
        kvm_exists="kvm-exists" in said,
        kvm_opens="kvm" in said,
        kernel_log=tuple(map(without_stamp, said["log"])),
        kernel_log_opens="log-opens" in said or bool(said["log"]),
        gic=next(iter(said["gic"]), ""),
        free_bytes=None if free_kib is None else free_kib * 1024,
        qemu_programs=frozenset(name for name in QEMU_PROGRAMS if f"qemu:{name}" in there),
        qemu_versions={found["program"]: found["version"] for found in versions if found},
        firmware=frozenset(path for path in firmware if f"file:{path}" in there),
        tools=frozenset(name for name in TOOLS if f"command:{name}" in there),
        there=there,
        sftp=_offers_sftp(link, limit),
    )


def _offers_sftp(link: Link, deadline: Deadline) -> bool:
    """Return whether sshd starts its SFTP server, which may be configured and not installed.

    Raises `InfrastructureError` if the host runs no command either: then the link has failed.
    """
    try:
        link.size_of("/", deadline)
    except InfrastructureError:
        link.check_run(["true"], deadline)
        return False
    return True
