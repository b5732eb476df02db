# SPDX-License-Identifier: MIT
"""A job and its parts as values; ``docs/job.rst`` explains them."""

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
    """The node is skipped; if it is the host, the whole group is."""
    FAIL = "fail"
    """The node fails, and with it the job."""


class WantedAccelerator(enum.Enum):
    """The ways of running a VM that its job allows."""

    KVM = "kvm"
    """Under KVM; the VM is never emulated."""
    TCG = "tcg"
    """Always emulated."""
    ANY = "any"
    """Under KVM, or emulated if KVM does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One entry of the job's ``actions``."""

    command: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of the command, without ``role`` and ``repeat``."""
    role: str | None = None
    """The only role that runs the action, or None if every role does."""
    repeat: int = 1
    """The number of runs, one directly after the other."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Attributes of the node's results from this action on."""
    place: str
    """The place of the action in the job file, such as ``actions[2]``."""


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
    """A file as the job names it; see `lava_vmgroup.job.reference`."""
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
    """``console_watch``: the faults to look for on the consoles of all nodes."""

    silence_s: float | None = None
    """Seconds for which a console may be silent: 0 for ever, None by the device's configuration."""
    ignore: tuple[str, ...] = ()
    """Names of the faults to ignore."""
    patterns: tuple[Fault, ...] = ()
    """The job's own faults, searched for anywhere in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """The settings of a whole job, which each of its sub-jobs repeats."""

    name: str
    timeout_s: float
    logging_level: str
    tags: tuple[str, ...] = ()
    """Labels that the results carry, to find them by."""
    console_watch: ConsoleWatch = ConsoleWatch()
    obsolete: tuple[str, ...] = ()
    """Keys of the job file that once had a meaning and are ignored."""
    folder: Path
    """The folder for relative paths in the job: that of the job file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The kinds of nodes that would run an action, for checks without a device."""

    folder: Path
    """The folder for relative paths in the job."""
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
        """Return the kinds of nodes that run `action`."""
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
    """True if the job goes on without the VM when the host cannot carry it."""
    requires: tuple[Requirement, ...] = ()
    """The things that the host must have for this node, which is the host itself or a VM on it."""
    requires_policy: RequiresPolicy = RequiresPolicy.SKIP
    accelerator: WantedAccelerator = WantedAccelerator.ANY

    @property
    def skips_without_qemu(self) -> bool:
        """True if the job goes on without the VM when QEMU cannot run it as the job wants.

        So it does for an optional VM, and for one that must run under KVM and requires it.
        """
        requires_kvm = any(one.kind is Kind.KVM for one in self.requires)
        return self.optional or (
            self.accelerator is WantedAccelerator.KVM
            and requires_kvm
            and self.requires_policy is RequiresPolicy.SKIP
        )

    @property
    def number(self) -> int:
        """The node's number in the group; `expand` gives 0 to the host."""
        return int(self.sub_id.rpartition(".")[2])

    @property
    def job_id(self) -> str:
        """The number of the job that the node's sub-job is a part of."""
        return self.sub_id.rpartition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class VMGroup:
    """The sub-jobs of one job that this process runs: all of them, or the one from a scheduler."""

    settings: JobSettings
    target_group: str
    nodes: tuple[NodeJob, ...]
    """The host's first, then the VMs' in the order of the job."""
    is_sub_job: bool = False
    """True if a scheduler has split the job and other processes run the other members."""

    @property
    def size(self) -> int:
        """The number of members of the group, in this process and in others."""
        return self.nodes[0].group_size
