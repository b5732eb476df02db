# SPDX-License-Identifier: MIT
"""The comparison of a job's ``requires`` with the facts about its host."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from lava_vmgroup.base.errors import NodeSkipped, Unfit
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.job.model import NodeJob, RequiresPolicy
from lava_vmgroup.job.requires import Kind, Requirement
from lava_vmgroup.vms.facts import QEMU_PROGRAMS, Arch, HostFacts
from lava_vmgroup.vms.kernel_log import (
    kvm_mode,
    kvm_words,
    level_words,
    mode_words,
    started_in_el2,
)
from lava_vmgroup.vms.kvm import kvm_remedy, why_kvm_does_not_open

_ASKED = (Kind.MODULE, Kind.DEVICE, Kind.COMMAND, Kind.FILE)
"""The kinds of words that are themselves questions to the host."""


def questions(requirements: Iterable[Requirement], qemu_binary: str = "") -> list[str]:
    """Return the questions for requirements beside the usual ones; see `lava_vmgroup.vms.facts`.

    `qemu_binary` is the lab's own choice of QEMU, if it has one.
    """
    asked = []
    for one in requirements:
        if one.kind in _ASKED:
            asked.append(str(one))
        elif one.kind is Kind.QEMU:
            asked += [f"version:{name}" for name in _programs(qemu_binary, QEMU_PROGRAMS)]
    return asked


def lacking(
    requirements: Iterable[Requirement], facts: HostFacts, qemu_binary: str = ""
) -> dict[Requirement, str]:
    """Return the requirements that the host does not meet, each with the evidence.

    A requirement that the facts leave open counts as not met.  `qemu_binary` is as in `questions`.
    """
    found = ((one, _evidence(one, facts, qemu_binary)) for one in requirements)
    return {one: evidence for one, evidence in found if evidence is not None}


def questions_of(nodes: Iterable[NodeJob], lab: Lab) -> list[str]:
    """Return the questions to the host that the nodes' requirements need, beside the usual ones."""
    return [
        question for node in nodes for question in questions(node.requires, _qemu_of(node, lab))
    ]


def lacked_by(job: NodeJob, lab: Lab, facts: HostFacts) -> dict[Requirement, str]:
    """Return the requirements of a node that the host does not meet, each with the evidence."""
    return lacking(job.requires, facts, _qemu_of(job, lab))


def check_requires(job: NodeJob, lab: Lab, facts: HostFacts) -> None:
    """Raise `NodeSkipped` if the host lacks what a node requires; `Unfit` if the job says so."""
    missing = lacked_by(job, lab, facts)
    if not missing:
        return
    if job.requires_policy is RequiresPolicy.SKIP:
        raise NodeSkipped(described(missing))
    wants_kvm = any(one.kind in (Kind.KVM, Kind.EL2, Kind.KVM_MODE) for one in missing)
    raise Unfit(described(missing), hint=kvm_remedy(facts) if wants_kvm else None)


def _qemu_of(job: NodeJob, lab: Lab) -> str:
    """Return the lab's own choice of QEMU for a VM; "" for none."""
    if job.is_host or not job.requires:
        return ""
    return lab.type_of(job.device_type).qemu_binary


def described(missing: Mapping[Requirement, str]) -> str:
    """Return the requirements that are not met, in one line."""
    return "; ".join(f"requires {one}: {evidence}" for one, evidence in missing.items())


def offered(facts: HostFacts) -> list[str]:
    """Return the words of ``requires`` that the host meets.

    Modules, devices, commands and files are left out.  QEMU's version, that of the oldest program,
    is included if it was asked for.
    """
    words = []
    if facts.kvm_opens:
        words.append(Requirement(Kind.KVM))
    if _el2("", facts) is None:
        words.append(Requirement(Kind.EL2))
    if facts.kvm_opens and (mode := kvm_mode(facts.kernel_log)):
        words.append(Requirement(Kind.KVM_MODE, mode))
    if facts.gic:
        words.append(Requirement(Kind.GIC, facts.gic.removeprefix("GICv")))
    if facts.known_arch is not None:
        words.append(Requirement(Kind.ARCH, facts.known_arch.value))
    words += [
        Requirement(Kind.CPUS, str(facts.cpus)),
        Requirement(Kind.MEMORY, str(facts.memory_mib)),
    ]
    if versions := [
        facts.qemu_versions[name] for name in facts.qemu_programs & {*facts.qemu_versions}
    ]:
        words.append(Requirement(Kind.QEMU, min(versions, key=_number)))
    return [str(one) for one in words]


def _evidence(requirement: Requirement, facts: HostFacts, qemu_binary: str) -> str | None:
    """Return the evidence that a requirement is not met; None if it is met."""
    if requirement.kind in _ASKED:
        there = str(requirement) in facts.there
        return None if there else _ABSENT[requirement.kind].format(requirement.value)
    if requirement.kind is Kind.QEMU:
        return _qemu(requirement.value, facts, _programs(qemu_binary, facts.qemu_programs))
    return _CHECKS[requirement.kind](requirement.value, facts)


_ABSENT = {
    Kind.MODULE: "the running kernel has no module {}: it is not loaded, not built in, and "
    "modprobe finds none",
    Kind.DEVICE: "{} is missing, or no device",
    Kind.COMMAND: "there is no command {}",
    Kind.FILE: "{} is missing",
}


def _kvm(_value: str, facts: HostFacts) -> str | None:
    return None if facts.kvm_opens else why_kvm_does_not_open(facts)


def _el2(_value: str, facts: HostFacts) -> str | None:
    if not facts.is_arm:
        return f"the host is {facts.machine}, which has no EL2"
    started = started_in_el2(facts.kernel_log)
    if started or (started is None and facts.kvm_opens):
        return None
    if started is None:
        return f"the level in which the kernel was started cannot be told; {_silence(facts)}"
    return f"the kernel says: {level_words(facts.kernel_log) or kvm_words(facts.kernel_log)}"


def _kvm_mode(value: str, facts: HostFacts) -> str | None:
    if not facts.is_arm:
        return f"the host is {facts.machine}, whose KVM has no such modes"
    if not facts.kvm_opens:
        return why_kvm_does_not_open(facts)
    mode = kvm_mode(facts.kernel_log)
    if not mode:
        return f"the mode of KVM cannot be told; {_silence(facts)}"
    return None if mode == value else f"the kernel says: {mode_words(facts.kernel_log)}"


def _silence(facts: HostFacts) -> str:
    if facts.kernel_log_opens:
        return "the kernel's log says nothing of it (any more)"
    return "the kernel's log cannot be read"


def _gic(value: str, facts: HostFacts) -> str | None:
    if facts.gic == f"GICv{value}":
        return None
    return f"the host has {facts.gic or 'no GIC in /proc/interrupts'}"


def _arch(value: str, facts: HostFacts) -> str | None:
    if facts.known_arch is not None and facts.known_arch is Arch(value):
        return None
    return f"the host is {facts.machine}"


def _cpus(value: str, facts: HostFacts) -> str | None:
    return None if facts.cpus >= int(value) else f"the host has {facts.cpus} CPUs"


def _memory(value: str, facts: HostFacts) -> str | None:
    if facts.memory_mib >= int(value):
        return None
    return f"the host has {facts.memory_mib} MiB of memory"


_CHECKS: Mapping[Kind, Callable[[str, HostFacts], str | None]] = {
    Kind.KVM: _kvm,
    Kind.EL2: _el2,
    Kind.KVM_MODE: _kvm_mode,
    Kind.GIC: _gic,
    Kind.ARCH: _arch,
    Kind.CPUS: _cpus,
    Kind.MEMORY: _memory,
}


def _programs(qemu_binary: str, usual: Iterable[str]) -> list[str]:
    return [qemu_binary] if qemu_binary else sorted(usual)


def _qemu(value: str, facts: HostFacts, programs: Collection[str]) -> str | None:
    """Return the evidence that one of the programs, any of which may run, is older than `value`."""
    if not programs:
        return f"the host has none of {', '.join(sorted(QEMU_PROGRAMS))}"
    for name in programs:
        if (version := facts.qemu_versions.get(name)) is None:
            return f"the version of {name} cannot be told"
        if _number(version) < _number(value):
            return f"{name} is of version {version}"
    return None


def _number(version: str) -> tuple[int, ...]:
    numbers = tuple(map(int, version.split(".")))
    return numbers + (0,) * (4 - len(numbers))
