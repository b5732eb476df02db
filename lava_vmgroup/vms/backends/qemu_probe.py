# SPDX-License-Identifier: MIT
"""The question to a host's QEMU: how would it run this guest?"""

from __future__ import annotations

import re
from dataclasses import replace

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Unfit
from lava_vmgroup.connections.link import CommandResult
from lava_vmgroup.job.model import WantedAccelerator
from lava_vmgroup.vms.backends.qemu_accelerator import Accelerator, Guest, kvm_choice, tcg_choice
from lava_vmgroup.vms.backends.qemu_command import machine_option
from lava_vmgroup.vms.kvm import kvm_remedy, why_no_kvm
from lava_vmgroup.vms.reached import ReachedHost

_PROBE_S = 60.0

# QEMU makes the guest's CPU before it reads the command for its monitor.  So its exit status is 0
# only if the kernel really offers this CPU; a /dev/kvm that opens does not prove that.  QEMU's
# version is in the greeting of the monitor.
_PROBE = (
    'echo quit | "$0" -nodefaults -no-user-config -display none -S -machine "$1" '
    '-accel "$2" -cpu "$3" -m "$4" -smp "$5" -monitor stdio'
)
_VERSION = re.compile(r"QEMU (\S+) monitor")


def accelerator_of(guest: Guest, at: ReachedHost, deadline: Deadline) -> Accelerator:
    """Return the way to run a guest here: with KVM if that works, otherwise by emulation.

    Starts QEMU to find out, once for each kind of guest, and blocks meanwhile.  If a guest is
    emulated only because KVM does not work, logs a warning.  Raises `Unfit` if QEMU cannot run
    the guest with an accelerator that the job allows.
    """
    probe = deadline.sub("probing KVM on the host", _PROBE_S)
    accelerator: Accelerator = at.host.found.get(guest, lambda: _choose(guest, at, probe), deadline)
    return accelerator


def _choose(guest: Guest, at: ReachedHost, deadline: Deadline) -> Accelerator:
    """Probe KVM if the job allows it, then emulation; see `VMHost.accelerator`."""
    facts = at.facts(deadline)
    if guest.wanted is WantedAccelerator.TCG:
        return _emulated(guest, "the job wants it emulated", at, deadline)
    reason = why_no_kvm(facts)
    if (choice := kvm_choice(guest.arch, facts)) is not None:
        choice = guest.over(choice)
        result = _probe(choice, guest, at, deadline)
        works = result.status == 0
        if works and not (guest.may_fall_back and guest.wanted is WantedAccelerator.KVM):
            version = _version_in(result.output)
            return replace(choice, version=version, may_fall_back=guest.may_fall_back)
        reason = _last_words(result, "KVM does not work")
        if works:
            reason = "qemu_options of its device type name another accelerator, too"
    missing = f"no KVM for an {guest.arch.value} guest ({reason})"
    if guest.wanted is WantedAccelerator.KVM:
        raise Unfit(
            f"{missing}, and the job never emulates it (accelerator: kvm)",
            hint=kvm_remedy(facts) or "use another host, or let the VM be emulated",
        )
    at.log.warning("accelerator", f"{missing}: emulating it, slowly")
    return _emulated(guest, reason, at, deadline)


def _emulated(guest: Guest, reason: str, at: ReachedHost, deadline: Deadline) -> Accelerator:
    """Return emulation for a guest that has no KVM for this `reason`; raise `Unfit` if it fails."""
    emulated = guest.over(tcg_choice(guest.arch, at.facts(deadline)))
    result = _probe(emulated, guest, at, deadline)
    if result.status != 0 and not guest.has_options:
        raise Unfit(
            f"{emulated.binary} on the host cannot make the machine {guest.machine!r}: "
            f"{_last_words(result, 'it does not say why')}",
            hint="correct qemu_machine, qemu_cpu, qemu_memory or qemu_smp of the VM's device type, "
            "or install another QEMU on the host",
        )
    return replace(emulated, version=_version_in(result.output), why_not_kvm=reason)


def _probe(choice: Accelerator, guest: Guest, at: ReachedHost, deadline: Deadline) -> CommandResult:
    """Start QEMU without a guest, and return its result; see `_PROBE`."""
    kind = machine_option(guest.machine, choice)
    size = [str(guest.memory_mib), str(guest.cpus)]
    command = ["sh", "-c", _PROBE, choice.binary, kind, choice.name, choice.cpu, *size]
    return at.link.run(command, deadline)


def _last_words(result: CommandResult, default: str) -> str:
    lines = result.output.strip().splitlines()
    # QEMU's own messages begin with its name, and lines of advice may follow them.
    return [default, *lines, *(line for line in lines if line.startswith("qemu-system"))][-1]


def _version_in(output: str) -> str:
    found = _VERSION.search(output)
    return found[1] if found else "unknown"
