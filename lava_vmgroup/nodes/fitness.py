# SPDX-License-Identifier: MIT
"""Whether the host fits the VMs of a job: their sub-jobs and the lab's configuration against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import NodeSkipped, Unfit
from lava_vmgroup.base.findings import Severity, refuse
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig, QemuArch, QemuNetwork
from lava_vmgroup.config.inventory import load_vm_type
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.connections.link import Link
from lava_vmgroup.job.model import NodeJob, RequiresPolicy
from lava_vmgroup.job.requires import Kind, Requirement
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.nodes.vm_kernel import check_kernel
from lava_vmgroup.vms.accelerator import Arch, Guest, HostFacts, leaves_kvm
from lava_vmgroup.vms.host import VMHost
from lava_vmgroup.vms.images import StoredFile
from lava_vmgroup.vms.preflight import VMNeeds, disk, kvm_remedy, look
from lava_vmgroup.vms.requires import described, lacking, questions


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """What a VM is going to put on the host."""

    files: tuple[StoredFile | None, ...] = ()
    layer: int = 0
    """Bytes of its disk, all of which the guest may write."""
    wants_firmware: bool = False
    """Whether the host has to add the firmware."""
    kernel: StoredFile | None = None
    """The one that QEMU boots."""


def config_of(job: NodeJob, lab: Lab) -> DeviceConfig:
    """The configuration of a VM's type."""
    return load_vm_type(job.device_type, lab.search_path, lab.vm_config)


def guest_of(job: NodeJob, config: DeviceConfig, facts: HostFacts) -> Guest:
    """The machine that a VM and its configuration ask for on this host."""
    arch = facts.arch if config.qemu_arch is QemuArch.HOST else Arch(config.qemu_arch.value)
    return Guest(
        arch=arch,
        machine=config.qemu_machine or ("q35" if arch is Arch.X86_64 else "virt"),
        binary=config.qemu_binary,
        cpu=config.qemu_cpu,
        memory_mib=config.qemu_memory,
        cpus=config.qemu_smp,
        has_options=bool(config.qemu_options),
        may_fall_back=leaves_kvm(config.qemu_options),
        wanted=job.accelerator,
    )


def needs_of(
    job: NodeJob,
    config: DeviceConfig,
    facts: HostFacts,
    wanted_mib: int,
    *,
    wants_firmware: bool = False,
) -> VMNeeds:
    """What one VM wants; `wanted_mib` is from `memory_wanted`."""
    return VMNeeds(
        guest=guest_of(job, config, facts).arch,
        memory_mib=wanted_mib,
        launches_itself=bool(job.launch_with),
        pins_cpus=bool(config.qemu_host_cpus),
        wants_network=QemuNetwork.GROUP in config.qemu_networks,
        wants_firmware=wants_firmware,
    )


def memory_wanted(job: NodeJob, nodes: Iterable[NodeJob], lab: Lab, facts: HostFacts) -> int:
    """MiB that a VM wants together with those of `nodes` that go before it.

    The VMs that the job needs go before the optional ones, and these go in their order; those
    that the job launches itself may do with less, and those whose requirements the host does not
    meet are not launched.
    """
    return sum(
        config_of(node, lab).qemu_memory
        for node in nodes
        if not (node.is_host or node.launch_with)
        and (not node.optional or (job.optional and node.number <= job.number))
        and not lacked_by(node, lab, facts)
    )


def questions_of(nodes: Iterable[NodeJob], lab: Lab) -> list[str]:
    """The questions to their host, beside the usual ones, that the nodes' requirements need."""
    return [
        question for node in nodes for question in questions(node.requires, _qemu_of(node, lab))
    ]


def lacked_by(job: NodeJob, lab: Lab, facts: HostFacts) -> dict[Requirement, str]:
    """The requirements of a node that the host does not meet, each with the evidence."""
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
    """The lab's own choice of QEMU for a VM; empty for none."""
    if job.is_host or not job.requires:
        return ""
    return config_of(job, lab).qemu_binary


def check_host(
    job: NodeJob,
    config: DeviceConfig,
    shared: Shared,
    host: VMHost,
    cargo: Cargo,
    link: Link,
    log: NodeLog,
    deadline: Deadline,
) -> None:
    """Raise `Unfit` when the host cannot carry a VM; nothing is sent for that.

    What will only be slower, or less, is told once in a process.
    """
    facts = host.facts(link, deadline)
    if cargo.kernel is not None:
        check_kernel(cargo.kernel.path, job, config, facts.arch, log)
    wanted_mib = memory_wanted(job, shared.group.nodes, shared.lab, facts)
    findings = look(
        needs_of(job, config, facts, wanted_mib, wants_firmware=cargo.wants_firmware), facts
    )
    refuse(findings)
    files = [(file.digest, file.path) for file in cargo.files if file is not None]
    free = host.store.room(facts.free_bytes, link, deadline)
    needed = host.store.plan(files, free, link, deadline)
    findings.append(disk(needed, cargo.layer, free, host.offer.folder))
    refuse(findings)
    for one in findings:
        if one.severity is Severity.DEGRADED and host.is_first(one.found):
            log.event("preflight", f"{one.found} ({one.remedy})", what=one.what)
