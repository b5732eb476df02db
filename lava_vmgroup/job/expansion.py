# SPDX-License-Identifier: MIT
"""Expansion of a VM group into the sub-jobs of its nodes, as LAVA v1's scheduler did.

- The host's sub_id is ``<job>.0``; the VMs' follow in the order of the job.
- The numbers in the VMs' names count down from the group's size less one, as v1 did for entries
  without a count.
- So names and sub_ids are unique even if entries repeat a role or have a count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lava_vmgroup.base.masking import masked
from lava_vmgroup.job.model import (
    Action,
    ConsoleWatch,
    Job,
    NodeJob,
    RequiresPolicy,
    VMGroup,
    WantedAccelerator,
)

IMAGE_COMMANDS = frozenset(
    {"deploy_linaro_image", "deploy_image", "deploy_linaro_kernel", "deploy_kernel"}
)

COUNTED_COMMANDS = frozenset({"lava_test_shell"})
"""Commands whose repetitions get their number, from 0, as the parameter ``repeat_count``."""

SUBMIT_COMMANDS = frozenset({"submit_results", "submit_results_on_host"})
"""Commands that run when all nodes of the group have ended."""

VM_DEVICE_TYPE = "dynamic-vm"
"""The device type of every VM's sub-job; its real type stands under `BACKEND_KEY`."""

BACKEND_KEY = "dynamic_vm_backend_device_type"
"""The key for the type of a VM in the ``config`` of its sub-job."""


def expand(job: Job, *, job_id: str, target_group: str) -> VMGroup:
    """Return the group of sub-jobs that `job` describes; the same input gives the same group.

    `job_id` is the job's number, `target_group` the group's unique name (a UUID).
    """
    instances = [
        (number, entry) for number, entry in enumerate(job.vms) for _ in range(entry.count)
    ]
    size = 1 + len(instances)

    def node(index: int, **fields: Any) -> NodeJob:
        return NodeJob(
            sub_id=f"{job_id}.{index}",
            group_size=size,
            target_group=target_group,
            auto_start_vms=job.auto_start_vms,
            submissions=tuple(
                action
                for action in job.actions
                if action.role in (None, fields["role"]) and action.command in SUBMIT_COMMANDS
            ),
            **fields,
        )

    host = node(
        0,
        target=None,
        role=job.host.role,
        device_type=job.host.device_type,
        is_host=True,
        actions=_actions_of(job, job.host.role),
        requires=job.host.requires,
        requires_policy=job.host.requires_policy,
    )
    vms = [
        node(
            index,
            target=f"vm{size - index}-job{job_id}.{index}",
            role=entry.role,
            device_type=entry.device_type,
            is_host=False,
            actions=_vm_actions(job, number),
            launch_with=entry.launch_with,
            shell_prompt=entry.shell_prompt,
            optional=entry.optional,
            requires=entry.requires,
            requires_policy=entry.requires_policy,
            accelerator=entry.accelerator,
        )
        for index, (number, entry) in enumerate(instances, start=1)
    ]
    return VMGroup(settings=job.settings, target_group=target_group, nodes=(host, *vms))


def _actions_of(job: Job, role: str) -> tuple[Action, ...]:
    return tuple(
        copy
        for action in job.actions
        if action.role in (None, role) and action.command not in SUBMIT_COMMANDS
        for copy in _repetitions(action)
    )


def _repetitions(action: Action) -> Iterator[Action]:
    if action.repeat == 1:
        yield action
        return
    for count in range(action.repeat):
        counted = {"repeat_count": count} if action.command in COUNTED_COMMANDS else {}
        yield replace(action, repeat=1, parameters={**action.parameters, **counted})


def _vm_actions(job: Job, number: int) -> tuple[Action, ...]:
    """Return a VM entry's actions; its ``image`` becomes an action if no other one deploys one."""
    entry = job.vms[number]
    actions = _actions_of(job, entry.role)
    if entry.image is None or any(action.command in IMAGE_COMMANDS for action in actions):
        return actions
    deploy = Action(
        command="deploy_linaro_image",
        parameters={"image": entry.image},
        role=entry.role,
        place=f"vm_group.vms[{number}].image",
    )
    return (deploy, *actions)


def to_document(group: VMGroup, node: NodeJob, *, secrets: bool = False) -> dict[str, Any]:
    """Return the sub-job as JSON data in v1's format, which v1's scheduler handed to a dispatcher.

    A node here also needs keys that v1 lacks: ``job_folder``, ``launch_with``, ``shell_prompt``,
    ``optional``, ``requires``, ``requires_policy``, ``accelerator`` and ``console_watch``.  Secrets
    are masked, for people to read; with `secrets` they stay, for a dispatcher.
    """
    settings = group.settings
    document: dict[str, Any] = {
        "job_name": settings.name,
        "timeout": settings.timeout_s,
        "logging_level": settings.logging_level,
        "is_vmhost": node.is_host,
        "auto_start_vms": node.auto_start_vms,
        "group_size": node.group_size,
        "target_group": node.target_group,
        "sub_id": node.sub_id,
        "role": node.role,
        "device_type": node.device_type if node.is_host else VM_DEVICE_TYPE,
        "actions": [_action_document(action) for action in (*node.actions, *node.submissions)],
        "job_folder": str(settings.folder),
    }
    if watch := _watch_document(settings.console_watch):
        document["console_watch"] = watch
    if settings.tags:
        document["tags"] = list(settings.tags)
    if not node.is_host:
        document["target"] = node.target
        document["config"] = {
            "device_type": VM_DEVICE_TYPE,
            BACKEND_KEY: node.device_type,
        }
    if node.launch_with:
        document["launch_with"] = list(node.launch_with)
    if node.shell_prompt is not None:
        document["shell_prompt"] = node.shell_prompt
    if node.optional:
        document["optional"] = True
    document.update(_wishes_document(node))
    return document if secrets else masked(document)


def _wishes_document(node: NodeJob) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if node.requires:
        document["requires"] = [str(one) for one in node.requires]
        if node.requires_policy is not RequiresPolicy.SKIP:
            document["requires_policy"] = node.requires_policy.value
    if node.accelerator is not WantedAccelerator.ANY:
        document["accelerator"] = node.accelerator.value
    return document


def _watch_document(watch: ConsoleWatch) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if watch.silence_s is not None:
        document["silence"] = watch.silence_s
    if watch.ignore:
        document["ignore"] = list(watch.ignore)
    if watch.patterns:
        document["patterns"] = [
            {"name": own.name, "pattern": own.pattern, "severity": own.severity.value}
            for own in watch.patterns
        ]
    return document


def _action_document(action: Action) -> dict[str, Any]:
    document: dict[str, Any] = {
        "command": action.command,
        "parameters": dict(action.parameters),
    }
    if action.metadata:
        document["metadata"] = dict(action.metadata)
    return document
