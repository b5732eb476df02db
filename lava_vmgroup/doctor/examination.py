# SPDX-License-Identifier: MIT
"""The checks of the host: boot it as the job says, ask it for facts, leave it as after a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from lava_vmgroup.actions import commands
from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, VMGroupError
from lava_vmgroup.base.findings import Finding, Severity, failure
from lava_vmgroup.base.scratch import scratch_folder
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.config.settings import BOOT_COMMANDS
from lava_vmgroup.deploy.fetch import JobFiles, local_path
from lava_vmgroup.deploy.unpack import SUFFIXES
from lava_vmgroup.doctor.required import required
from lava_vmgroup.job.expansion import IMAGE_COMMANDS
from lava_vmgroup.job.model import NodeJob, VMGroup
from lava_vmgroup.job.reference import FileReference
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.nodes.cleanup import Cleanup
from lava_vmgroup.nodes.host import HostNode
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.nodes.shared_host import SharedHost
from lava_vmgroup.systems.tools import references
from lava_vmgroup.vms import backends
from lava_vmgroup.vms.backends.qemu_preflight import disk
from lava_vmgroup.vms.facts import QEMU_PROGRAMS, HostFacts
from lava_vmgroup.vms.images import ImageLibrary
from lava_vmgroup.vms.introduction import OFFER_ID, Offer
from lava_vmgroup.vms.reached import ReachedHost
from lava_vmgroup.vms.requires import questions_of

_PREPARING = (*IMAGE_COMMANDS, *BOOT_COMMANDS, "dummy_deploy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The outcome of the checks of a host."""

    findings: tuple[Finding, ...] = ()
    not_looked_at: tuple[str, ...] = ()
    """The things that could not be checked, in words for people."""


def examine(
    group: VMGroup, lab: Lab, output: Path | None, token: CancelToken, *, boot: bool
) -> Examined:
    """Check the job's host; if it is not up, deploy and boot it first, but only with `boot`.

    Records the host's console in `output`, if that is given.  Blocks for the job's time limit at
    most.  Raises `Canceled`; every other error becomes a finding.
    """
    with scratch_folder() as work:
        try:
            with _host_node(group, lab, output or work, work, token) as node:
                if not (boot or node.is_up):
                    return Examined(not_looked_at=("the host, which has to be booted: --boot",))
                return _examined(group, lab, node, token)
        except Canceled:
            raise
        except VMGroupError as error:
            return Examined(
                findings=(failure("host", error),), not_looked_at=("what the host has for VMs",)
            )


@contextmanager
def _host_node(
    group: VMGroup, lab: Lab, output: Path, work: Path, token: CancelToken
) -> Iterator[HostNode]:
    """Yield the host, alone in a group of its own and without its requirements; then close it."""
    assert lab.device is not None, "a whole job has its host's device"
    alone = replace(group.nodes[0], group_size=1, auto_start_vms=True, requires=())
    questions = [*questions_of(group.nodes, lab), *(f"version:{name}" for name in QEMU_PROGRAMS)]
    group = replace(group, nodes=(alone,))
    with (
        JobFiles(group.settings.folder, lab.dispatcher, work / "files") as files,
        Coordinator() as coordinator,
    ):
        shared = Shared(
            group=group,
            lab=lab,
            coordinator=coordinator.endpoint,
            output=output,
            work=work,
            files=files,
            images=ImageLibrary(work / "images"),
            host=SharedHost(group.target_group, questions),
            cleanup=Cleanup(lab.device.timeout_scale),
            timeout_scale=lab.device.timeout_scale,
        )
        node = HostNode(alone, lab.device.hostname, shared, token)
        try:
            yield node
        finally:
            node.close()


def _examined(group: VMGroup, lab: Lab, node: HostNode, token: CancelToken) -> Examined:
    """Deploy and boot as the job does, ask the host for its facts, and check each VM's needs."""
    deadline = Deadline.after("the job", group.settings.timeout_s, token, node.shared.timeout_scale)
    node.join(deadline)
    for action in takewhile(lambda one: one.command in _PREPARING, node.job.actions):
        commands()[action.command].run(action, node, deadline)
    node.ensure_booted(deadline)
    offer = Offer.from_message(
        node.client.wait(OFFER_ID, deadline)[node.name], node.job.target_group
    )
    host = node.shared.host.at(offer)
    with host.dial(deadline) as link:
        at = ReachedHost(host=host, link=link, log=node.log)
        facts = at.facts(deadline)
        findings, skipped = required(group.nodes, lab, facts)
        vms = [one for one in group.nodes if not (one.is_host or one in skipped)]
        sizes = _Sizes(vms, group.settings.folder)
        for vm in vms:
            findings += _of_vm(vm, vms, lab, at, deadline)
        if vms:
            free = host.store.room(facts.free_bytes, link, deadline)
            findings.append(disk(sizes.images, sizes.layers, free, offer.folder))
    findings = [_host(facts), *findings]
    return Examined(findings=tuple(dict.fromkeys(findings)), not_looked_at=sizes.unknown)


def _host(facts: HostFacts) -> Finding:
    cards = f", interrupt controller {facts.gic}" if facts.gic else ""
    arch = facts.machine if facts.known_arch is None else facts.known_arch.value
    return Finding(what="host", found=f"it answers; its architecture is {arch}{cards}")


def _of_vm(
    job: NodeJob, vms: Sequence[NodeJob], lab: Lab, at: ReachedHost, deadline: Deadline
) -> list[Finding]:
    kind = backends.driver_class(lab.type_of(job.device_type))
    findings = kind.examine(job, vms, lab, at, deadline)
    return [_skipping(one, job) for one in findings] if job.optional else findings


def _skipping(finding: Finding, job: NodeJob) -> Finding:
    """Return the finding with DEGRADED in place of MISSING, as the job goes on without the VM."""
    if finding.severity is not Severity.MISSING:
        return finding
    found = f"{finding.found}: {job.role} is optional and will be skipped"
    return replace(finding, severity=Severity.DEGRADED, found=found)


class _Sizes:
    """The sizes of the VMs' images, as far as they are known before the images are fetched."""

    def __init__(self, vms: list[NodeJob], folder: Path) -> None:
        self._paths: set[Path] = set()
        self._unknown: dict[str, None] = {}
        self.layers = 0
        """Bytes of the VMs' disks, all of which the guests may write."""
        for vm in vms:
            for action in vm.actions:
                for reference in references(action):
                    self._add(reference, folder)
                for name in ("image", "rootfs"):
                    if name in action.parameters and action.command in IMAGE_COMMANDS:
                        self.layers += self._size(action.parameters[name], folder)

    @property
    def images(self) -> int:
        """Bytes that are copied to the host."""
        return sum(path.stat().st_blocks * 512 for path in self._paths)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The files without a known size, in words for people."""
        return tuple(f"the size of {name} once it is fetched" for name in self._unknown)

    def _add(self, reference: FileReference, folder: Path) -> None:
        path = local_path(reference.url, folder)
        if path is None or path.suffix in SUFFIXES:
            self._unknown[reference.shown] = None
        else:
            self._paths.add(path.resolve())

    def _size(self, value: str | dict[str, str], folder: Path) -> int:
        path = local_path(FileReference.of(value).url, folder)
        return 0 if path is None or path.suffix in SUFFIXES else path.stat().st_size
