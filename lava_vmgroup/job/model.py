# SPDX-License-Identifier: MIT
"""A job and its parts as values; what they mean is in ``docs/job.rst``."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lava_vmgroup.base.console_faults import Fault
from lava_vmgroup.job.requires import Kind, Requirement


class RequiresPolicy(enum.Enum):
    """The end of a node whose host lacks something of ``requires``."""

    SKIP = "skip"
    FAIL = "fail"


class WantedAccelerator(enum.Enum):
    """The ways of running a VM that its job allows."""

    KVM = "kvm"
    TCG = "tcg"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One entry of the job's ``actions``."""

    command: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Without ``role``."""
    role: str | None = None
    """The only role that runs it; None: every role does."""
    repeat: int = 1
    """How often to run it, one directly after the other."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Attributes of the node's results from this action on."""
    place: str
    """Where it stands in the job file, such as ``actions[2]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """``vm_group.host``: the board that the virtual machines run on."""

    device_type: str
    role: str = "host"
    requires: tuple[Requirement, ...] = ()
    requires_policy: RequiresPolicy = RequiresPolicy.SKIP


@dataclass(frozen=True, slots=True, kw_only=True)
class VMEntry:
    """One item of ``vm_group.vms``: `count` equal virtual machines."""

    device_type: str
    role: str
    count: int = 1
    image: str | Mapping[str, str] | None = None
    """A file as the job says it; see `lava_vmgroup.job.reference`."""
    launch_with: tuple[str, ...] = ()
    """Commands for the host's shell; the last one attaches to the VM's console."""
    shell_prompt: str | None = None
    optional: bool = False
    requires: tuple[Requirement, ...] = ()
    """The things that the host must have for these VMs."""
    requires_policy: RequiresPolicy = RequiresPolicy.SKIP
    accelerator: WantedAccelerator = WantedAccelerator.ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleWatch:
    """``console_watch``: what is looked for on the consoles of all nodes."""

    silence_s: float | None = None
    """How long a console may be silent; 0 is for ever, None what the device says."""
    ignore: tuple[str, ...] = ()
    """Names of faults that are none here."""
    patterns: tuple[Fault, ...] = ()
    """The job's own, tried everywhere in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """What a job says of itself, and each of its sub-jobs repeats."""

    name: str
    timeout_s: float
    logging_level: str
    tags: tuple[str, ...] = ()
    """What the job's author wants its results to be found by."""
    console_watch: ConsoleWatch = ConsoleWatch()
    obsolete: tuple[str, ...] = ()
    """Keys of the job file that once had a meaning and are ignored."""
    folder: Path
    """What relative paths in the job are relative to: the folder of the job file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where an action would run, for checks without a device."""

    folder: Path
    """What relative paths are relative to."""
    on_host: bool
    on_vms: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A VM group job as its author wrote it, checked."""

    settings: JobSettings
    host: HostEntry
    vms: tuple[VMEntry, ...]
    auto_start_vms: bool = True
    actions: tuple[Action, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role once, the host's first."""
        return tuple(dict.fromkeys((self.host.role, *(vm.role for vm in self.vms))))

    def scope(self, action: Action) -> Scope:
        """Which kinds of nodes run an action."""
        return Scope(
            folder=self.settings.folder,
            on_host=action.role in (None, self.host.role),
            on_vms=action.role != self.host.role,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeJob:
    """The sub-job of one node of the group."""

    target: str | None
    """The node's name; None for a host whose device the lab chooses."""
    role: str
    device_type: str
    is_host: bool
    sub_id: str
    """The job's number, a dot, and the node's number in the group, from 0."""
    group_size: int
    target_group: str
    auto_start_vms: bool
    actions: tuple[Action, ...]
    launch_with: tuple[str, ...] = ()
    submissions: tuple[Action, ...] = ()
    """Actions that submit the node's results when the whole group has ended."""
    shell_prompt: str | None = None
    optional: bool = False
    """Whether the job goes on without the VM when the host cannot carry it."""
    requires: tuple[Requirement, ...] = ()
    """The things that the host must have for this node, be it the host or a VM on it."""
    requires_policy: RequiresPolicy = RequiresPolicy.SKIP
    accelerator: WantedAccelerator = WantedAccelerator.ANY

    @property
    def skips_without_qemu(self) -> bool:
        """The job goes on without the VM if QEMU cannot run it as the job wants."""
        requires_kvm = any(one.kind is Kind.KVM for one in self.requires)
        return self.optional or (
            self.accelerator is WantedAccelerator.KVM
            and requires_kvm
            and self.requires_policy is RequiresPolicy.SKIP
        )

    @property
    def number(self) -> int:
        """The node's number in the group; the host of a job that we expand has 0."""
        return int(self.sub_id.rpartition(".")[2])

    @property
    def job_id(self) -> str:
        """The number of the job that the node's sub-job is a part of."""
        return self.sub_id.rpartition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Sub-jobs of one job to be run here: all of them, or those that a scheduler gave us."""

    settings: JobSettings
    target_group: str
    nodes: tuple[NodeJob, ...]
    """The host's first, then the VMs' in the order of the job."""
    is_sub_job: bool = False
    """Whether a scheduler has split the job, and others run the other members."""

    @property
    def size(self) -> int:
        """How many members the group has, here and elsewhere."""
        return self.nodes[0].group_size
