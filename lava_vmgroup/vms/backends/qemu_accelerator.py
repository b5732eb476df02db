# SPDX-License-Identifier: MIT
"""The choice of the QEMU program, the accelerator and the CPU for a guest on a host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lava_vmgroup.base.errors import Unfit
from lava_vmgroup.job.model import WantedAccelerator
from lava_vmgroup.vms.facts import Arch, HostFacts

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
        f"the host has no {wanted} for an {guest.value} guest (QEMU found: {have})",
        hint=f"install {package} in the host's image",
    )
