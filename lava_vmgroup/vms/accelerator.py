# SPDX-License-Identifier: MIT
"""Choosing how QEMU runs a guest on a host: which program, which accelerator, which CPU."""

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

_KVM: Mapping[tuple[Arch, Arch], tuple[str, str]] = {
    (Arch.AARCH32, Arch.AARCH32): ("qemu-system-arm", "host"),
    # A 64-bit CPU runs 32-bit guests where it has AArch32 at EL1; only this program offers it.
    (Arch.AARCH64, Arch.AARCH32): ("qemu-system-aarch64", "host,aarch64=off"),
    (Arch.AARCH64, Arch.AARCH64): ("qemu-system-aarch64", "host"),
    (Arch.X86_64, Arch.X86_64): ("qemu-system-x86_64", "host"),
}

_TCG: Mapping[Arch, tuple[tuple[str, str], ...]] = {
    Arch.AARCH32: (("qemu-system-arm", "cortex-a15"), ("qemu-system-aarch64", "cortex-a15")),
    Arch.AARCH64: (("qemu-system-aarch64", "cortex-a57"),),
    Arch.X86_64: (("qemu-system-x86_64", "max"),),
}


UNKNOWN_ACCELERATOR = "unknown (launch_with)"
"""The accelerator of a guest that the job's own commands have started."""

QEMU_PROGRAMS = ("qemu-system-arm", "qemu-system-aarch64", "qemu-system-x86_64")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a host said of itself."""

    machine: str
    """The architecture as ``uname -m`` prints it."""
    memory_mib: int
    kvm_opens: bool
    """Whether ``/dev/kvm`` is there and opens; not yet whether a given guest runs with it."""
    qemu_programs: frozenset[str]
    """The ``qemu-system-*`` programs found on the host."""
    firmware: frozenset[str]
    """Firmware images found on the host, as paths."""
    kvm_exists: bool = False
    """Whether ``/dev/kvm`` is there at all."""
    kernel_log: tuple[str, ...] = ()
    """The lines of the kernel about KVM and about the level in which it was started."""
    kernel_log_opens: bool = True
    """The kernel's log can be read."""
    cpus: int = 0
    cpu_flags: frozenset[str] = frozenset()
    """Those of an x86 processor that are for virtualization."""
    gic: str = ""
    """The interrupt controller, such as ``GICv3``, if it can be told."""
    available_mib: int = 0
    """How much of the memory nobody uses."""
    free_bytes: int | None = None
    """What is free where VMs' files go, if it can be told."""
    tools: frozenset[str] = frozenset()
    """Which of the programs beside QEMU that are used here there are."""
    sftp: bool = True
    qemu_versions: Mapping[str, str] = field(default_factory=dict)
    """The versions of the programs that were asked for one."""
    there: frozenset[str] = frozenset()
    """The words, of those that the host was asked for, that name something it has."""

    @property
    def known_arch(self) -> Arch | None:
        """The architecture; None for one that no VM here has."""
        return _MACHINE_NAMES.get(self.machine)

    @property
    def arch(self) -> Arch:
        """The architecture; raises `InfrastructureError` for an unknown one."""
        return arch_of(self.machine)

    @property
    def is_arm(self) -> bool:
        """The processor is an ARM one of any kind."""
        return self.machine.startswith(("arm", "aarch64"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """How a guest is to be run."""

    binary: str
    name: str
    """``kvm`` or ``tcg``."""
    cpu: str
    version: str = ""
    """QEMU's, once it was asked."""
    why_not_kvm: str = ""
    """For an emulated guest: what speaks against KVM."""
    may_fall_back: bool = False
    """The lab's own options let QEMU take another accelerator than this one."""

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes by which a guest's results say how it was run."""
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
    """The machine that a VM's device type wants."""

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
    """Whether the lab has further options, which may make of the machine what it else is not."""
    may_fall_back: bool = False
    """These options let QEMU take another accelerator than KVM."""
    wanted: WantedAccelerator = WantedAccelerator.ANY
    """The ways of running it that the job allows."""

    def over(self, choice: Accelerator) -> Accelerator:
        """A choice with the lab's own in it."""
        return replace(choice, binary=self.binary or choice.binary, cpu=self.cpu or choice.cpu)


_NAMED = re.compile(r"(?:^| )--?accel[ =](?:accel=)?(\w+)|\baccel=([\w:]+)")


def leaves_kvm(options: Sequence[str]) -> bool:
    """Return True if options name an accelerator other than KVM; QEMU may fall back to it."""
    found = _NAMED.findall(" ".join(options))
    return any({*one.split(":")} - {"kvm", ""} for pair in found for one in pair)


def arch_of(machine: str) -> Arch:
    """The architecture behind what ``uname -m`` prints."""
    try:
        return _MACHINE_NAMES[machine]
    except KeyError:
        raise InfrastructureError(
            f"the host is of an unknown architecture, {machine!r}",
            hint=f"known: {', '.join(_MACHINE_NAMES)}",
        ) from None


def kvm_choice(guest: Arch, facts: HostFacts) -> Accelerator | None:
    """How KVM would run the guest on this host; None when it cannot."""
    pair = _KVM.get((facts.arch, guest))
    if pair is None or not facts.kvm_opens or pair[0] not in facts.qemu_programs:
        return None
    return Accelerator(binary=pair[0], name="kvm", cpu=pair[1])


def tcg_choice(guest: Arch, facts: HostFacts) -> Accelerator:
    """How the guest is emulated on this host; `Unfit` when QEMU is not there."""
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
