# SPDX-License-Identifier: MIT
"""The job's commands: one module each, named like the command.

A module has ``PARAMETERS``, the JSON schema of its parameters (``role`` excepted, which every
action takes), ``check``, which checks an action without a device, ``run``, which carries it out on
a node, and sometimes ``ALIASES``, other names of the same command.  ``submit_results`` has no
``run``: the runner carries it out when the whole group has ended.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.job.model import Action, Job, Scope, VMGroup

if TYPE_CHECKING:
    from lava_vmgroup.nodes.node import Node


class JobCommand(Protocol):
    """The interface of a command's module."""

    PARAMETERS: Mapping[str, Any]

    def check(self, action: Action, scope: Scope) -> Iterator[str]:
        """Yield the problems of the action's parameters and files, as ``parameter: problem``."""
        ...

    def run(self, action: Action, node: Node, deadline: Deadline) -> None:
        """Carry the action out on a node; blocks until it has ended, and raises its error."""
        ...


@cache
def commands() -> Mapping[str, JobCommand]:
    """Return the module of every command, by each of its names."""
    found: dict[str, JobCommand] = {}
    for info in pkgutil.iter_modules(__path__):
        module: Any = importlib.import_module(f"{__name__}.{info.name}")
        for name in (info.name, *getattr(module, "ALIASES", ())):
            found[name] = module
    return found


def parameter_schemas() -> dict[str, Mapping[str, Any]]:
    """Return the schema of each command's parameters, for the check of a job."""
    return {name: command.PARAMETERS for name, command in commands().items()}


def file_problems(job: Job) -> Iterator[str]:
    """Yield the problems of the job's actions and of its VMs' images, each with its place."""
    for action in job.actions:
        yield from _problems(action, job.scope(action))
    for index, vm in enumerate(job.vms):
        if vm.image is not None:
            action = Action(command="", parameters={"image": vm.image}, role=vm.role, place="")
            for problem in commands()["deploy_linaro_image"].check(action, job.scope(action)):
                yield f"vm_group.vms[{index}].{problem}"


def sub_job_problems(group: VMGroup) -> Iterator[str]:
    """Yield the problems of the actions of sub-jobs, each with its place."""
    for node in group.nodes:
        folder = group.settings.folder
        scope = Scope(folder=folder, on_host=node.is_host, on_vms=not node.is_host)
        for action in (*node.actions, *node.submissions):
            yield from _problems(action, scope)


def _problems(action: Action, scope: Scope) -> Iterator[str]:
    for problem in commands()[action.command].check(action, scope):
        yield f"{action.place}.parameters.{problem}"
