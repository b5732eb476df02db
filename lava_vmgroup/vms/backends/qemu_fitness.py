# SPDX-License-Identifier: MIT
"""The comparison of a VM, by its job and its device type, with the facts of its host."""

from __future__ import annotations

from collections.abc import Iterable

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.findings import Severity, refuse
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.group_keys import QemuArch, QemuNetwork
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.vms.backends import VMSetup
from lava_vmgroup.vms.backends.qemu_accelerator import Guest, leaves_kvm
from lava_vmgroup.vms.backends.qemu_kernel import check_kernel
from lava_vmgroup.vms.backends.qemu_preflight import VMNeeds, disk, look
from lava_vmgroup.vms.facts import Arch, HostFacts
from lava_vmgroup.vms.load import Load
from lava_vmgroup.vms.reached import ReachedHost
from lava_vmgroup.vms.requires import lacked_by


def guest_of(job: NodeJob, config: DeviceConfig, facts: HostFacts) -> Guest:
    """Return the machine that a VM and its configuration ask for on this host."""
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
    """Return the needs of one VM; `wanted_mib` is from `memory_wanted`."""
    return VMNeeds(
        guest=guest_of(job, config, facts).arch,
        memory_mib=wanted_mib,
        launches_itself=bool(job.launch_with),
        pins_cpus=bool(config.qemu_host_cpus),
        wants_network=QemuNetwork.GROUP in config.qemu_networks,
        wants_firmware=wants_firmware,
    )


def memory_wanted(job: NodeJob, nodes: Iterable[NodeJob], lab: Lab, facts: HostFacts) -> int:
    """Return the MiB for a VM together with those of `nodes` that go before it.

    The VMs that the job needs go before the optional ones, which go in their order.  VMs that the
    job launches itself do not count, nor do those whose requirements the host does not meet.
    """
    return sum(
        lab.type_of(node.device_type).qemu_memory
        for node in nodes
        if not (node.is_host or node.launch_with)
        and (not node.optional or (job.optional and node.number <= job.number))
        and not lacked_by(node, lab, facts)
    )


def check_host(
    setup: VMSetup, config: DeviceConfig, load: Load, at: ReachedHost, deadline: Deadline
) -> None:
    """Raise `Unfit` if the host cannot carry a VM; no file is sent for the check.

    A lack that only makes the VM slower, or smaller, is logged once in a process.
    """
    job, host, facts = setup.job, at.host, at.facts(deadline)
    if load.kernel is not None:
        check_kernel(load.kernel.path, job, config, facts.arch, at.log)
    wanted_mib = memory_wanted(job, setup.nodes, setup.lab, facts)
    needs = needs_of(job, config, facts, wanted_mib, wants_firmware=load.needs_firmware)
    findings = look(needs, facts)
    refuse(findings)
    free = host.store.room(facts.free_bytes, at.link, deadline)
    needed = host.store.plan(load.files, free, at.link, deadline)
    findings.append(disk(needed, load.disk_size, free, host.offer.folder))
    refuse(findings)
    for one in findings:
        if one.severity is Severity.DEGRADED and host.is_first(one.found):
            at.log.event("preflight", f"{one.found} ({one.remedy})", what=one.what)
