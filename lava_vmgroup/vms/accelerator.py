# SPDX-License-Identifier: MIT
"""The choice of the QEMU program, the accelerator and the CPU for a guest on a host."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lava_vmgroup.base.errors import InfrastructureError, Unfit
from lava_vmgroup.job.model import WantedAccelerator


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

_KVM: Mapping[tuple[Arch, Arch], tuple[str, str]] = {
    (Arch.AARCH32, Arch.AARCH32): ("qemu-system-arm", "host"),
    # The CPU must have AArch32 at EL1.  Only this program has the option aarch64=off.
    (Arch.AARCH64, Arch.AARCH32): ("qemu-system-aarch64", "host,aarch64=off"),
    (Arch.AARCH64, Arch.AARCH64): ("qemu-system-aarch64", "host"),
    (Arch.X86_64, Arch.X86_64): ("qemu-system-x86_64", "host"),
}
"""The program and its ``-cpu`` for KVM, by the architectures of host and guest."""

_TCG: Mapping[Arch, tuple[tuple[str, str], ...]] = {
    Arch.AARCH32: (("qemu-system-arm", "cortex-a15"), ("qemu-system-aarch64", "cortex-a15")),
    Arch.AARCH64: (("qemu-system-aarch64", "cortex-a57"),),
    Arch.X86_64: (("qemu-system-x86_64", "max"),),
}
"""The programs and their ``-cpu`` for emulation, by the guest's architecture, best first."""


UNKNOWN_ACCELERATOR = "unknown (launch_with)"
"""The attribute ``accelerator`` of a guest that the job's own commands started."""

QEMU_PROGRAMS = ("qemu-system-arm", "qemu-system-aarch64", "qemu-system-x86_64")
"""The programs that are looked for on a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The facts about a host, as `lava_vmgroup.vms.facts` reads them."""

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
    """The programs that the host has of `lava_vmgroup.vms.preflight.TOOLS`."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """The way in which QEMU runs a guest on a host."""

    binary: str
    """The QEMU program."""
    name: str
    """``kvm`` or ``tcg``."""
    cpu: str
    """The value of QEMU's ``-cpu``."""
    version: str = ""
    """QEMU's version; empty until QEMU was probed."""
    why_not_kvm: str = ""
    """The reason why an emulated guest has no KVM."""
    may_fall_back: bool = False
    """True if the lab's own options let QEMU fall back to another accelerator."""

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes about the accelerator for the guest's results."""
        facts = {
            "accelerator": "unknown (qemu_options)" if self.may_fall_back else self.name,
            "qemu_binary": self.binary,
            "qemu_version": self.version,
        }
        if self.name == "kvm":
            return facts
        return {**facts, "emulated": "true", "why_not_kvm": self.why_not_kvm}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """The machine of a VM, from its device type, and the accelerators that its job allows."""

    arch: Arch
    machine: str
    """QEMU's machine type."""
    binary: str = ""
    """The lab's own choice of QEMU; empty for none."""
    cpu: str = ""
    """The lab's own choice of CPU; empty for none."""
    memory_mib: int
    cpus: int
    has_options: bool = False
    """True if the lab has further options for QEMU.

    QEMU is probed without them, and may be able to make the machine only with them.
    """
    may_fall_back: bool = False
    """True if these options let QEMU fall back to another accelerator than KVM."""
    wanted: WantedAccelerator = WantedAccelerator.ANY
    """The accelerators that the job allows."""

    def over(self, choice: Accelerator) -> Accelerator:
        """Return `choice` with the lab's own program and CPU, if it has chosen them, put in."""
        return replace(choice, binary=self.binary or choice.binary, cpu=self.cpu or choice.cpu)


_NAMED = re.compile(r"(?:^| )--?accel[ =](?:accel=)?(\w+)|\baccel=([\w:]+)")
"""The accelerators in options: ``-accel NAME``, and ``accel=NAME:NAME`` of ``-machine``."""


def leaves_kvm(options: Sequence[str]) -> bool:
    """Return True if options name an accelerator other than KVM; QEMU may fall back to it."""
    found = _NAMED.findall(" ".join(options))
    return any({*one.split(":")} - {"kvm", ""} for pair in found for one in pair)


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


def kvm_choice(guest: Arch, facts: HostFacts) -> Accelerator | None:
    """Return the way to run the guest with KVM on this host; None if the facts rule KVM out.

    Raises `InfrastructureError` for a host of an unknown architecture.
    """
    pair = _KVM.get((facts.arch, guest))
    if pair is None or not facts.kvm_opens or pair[0] not in facts.qemu_programs:
        return None
    return Accelerator(binary=pair[0], name="kvm", cpu=pair[1])


def tcg_choice(guest: Arch, facts: HostFacts) -> Accelerator:
    """Return the way to emulate the guest on this host; raise `Unfit` if the host lacks QEMU."""
    for binary, cpu in _TCG[guest]:
        if binary in facts.qemu_programs:
            return Accelerator(binary=binary, name="tcg", cpu=cpu)
    wanted = " or ".join(binary for binary, _ in _TCG[guest])
    have = ", ".join(sorted(facts.qemu_programs)) or "none"
    package = "qemu-system-x86" if guest is Arch.X86_64 else "qemu-system-arm"
    raise Unfit(
        f"the host has no {wanted} for a {guest.value} guest (QEMU found: {have})",
        hint=f"install {package} in the host's image",
    )
