# SPDX-License-Identifier: MIT
"""The doctor's findings about a host's QEMU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, VMGroupError
from lava_vmgroup.base.findings import Finding, Severity, failure
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.job.model import NodeJob, WantedAccelerator
from lava_vmgroup.vms.backends.qemu_accelerator import Guest
from lava_vmgroup.vms.backends.qemu_fitness import guest_of, memory_wanted, needs_of
from lava_vmgroup.vms.backends.qemu_preflight import look
from lava_vmgroup.vms.backends.qemu_probe import accelerator_of
from lava_vmgroup.vms.kvm import kvm_remedy
from lava_vmgroup.vms.reached import ReachedHost


def examine(
    job: NodeJob, vms: Sequence[NodeJob], lab: Lab, at: ReachedHost, deadline: Deadline
) -> list[Finding]:
    """See `Backend.examine`."""
    config, facts = lab.type_of(job.device_type), at.facts(deadline)
    wanted_mib = memory_wanted(job, vms, lab, facts)
    findings = look(needs_of(job, config, facts, wanted_mib), facts)
    has_qemu = not any(
        one.what.startswith("QEMU") and one.severity is Severity.MISSING for one in findings
    )
    if has_qemu and not job.launch_with:
        found = _acceleration(guest_of(job, config, facts), job.device_type, at, deadline)
        is_lacking = found.severity is Severity.MISSING
        if is_lacking and job.skips_without_qemu and not job.optional:
            words = f"{found.found}: {job.role} will be skipped"
            found = replace(found, severity=Severity.DEGRADED, found=words)
        findings.append(found)
    return findings


def _acceleration(guest: Guest, device_type: str, at: ReachedHost, deadline: Deadline) -> Finding:
    """Ask the host's QEMU how it would run a guest of this type, and return the finding."""
    what = f"{device_type} ({guest.machine})"
    try:
        choice = accelerator_of(guest, at, deadline)
    except Canceled:
        raise
    except VMGroupError as error:
        return failure(what, error)
    program = f"{choice.binary} {choice.version}"
    if choice.name == "kvm":
        return Finding(what=what, found=f"{program} runs it with KVM")
    if guest.wanted is WantedAccelerator.TCG:
        return Finding(what=what, found=f"{program} emulates it, as the job wants")
    return Finding(
        what=what,
        severity=Severity.DEGRADED,
        found=f"{program} emulates it, slowly: {choice.why_not_kvm}",
        remedy=kvm_remedy(at.facts(deadline)),
    )
