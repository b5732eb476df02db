# SPDX-License-Identifier: MIT
"""Sub-jobs: one node's part of a group, as a scheduler hands it to a dispatcher.

The format is LAVA v1's.  A sub-job here may also have the keys that v1's scheduler left out:
``launch_with``, ``shell_prompt``, ``optional``, ``requires``, ``requires_policy``, ``accelerator``,
``console_watch``, ``tags`` and ``job_folder``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.place import list_of
from lava_vmgroup.job.contradictions import expression_problems, watch_problems, wish_problems
from lava_vmgroup.job.expansion import (
    BACKEND_KEY,
    COUNTED_COMMANDS,
    SUBMIT_COMMANDS,
    VM_DEVICE_TYPE,
)
from lava_vmgroup.job.model import Action, NodeJob, VMGroup
from lava_vmgroup.job.parse import (
    parse_actions,
    parse_launch_with,
    parse_settings,
    parse_wishes,
)
from lava_vmgroup.job.problems import shape_problems
from lava_vmgroup.job.schema import (
    ACTION_SCHEMA,
    JOB_SCHEMA,
    MAX_VMS,
    NAME,
    NOTES,
    REQUIRES_POLICY_SCHEMA,
    REQUIRES_SCHEMA,
    VM_SCHEMA,
    VM_TYPES,
)

_REPEAT_COUNT = {"type": "integer", "minimum": 0}
_JOB_KEYS = (
    "timeout",
    "job_name",
    "logging_level",
    "tags",
    "console_watch",
    "priority",
    "health_check",
    "notify",
    "notify_on_incomplete",
    "hostname",
    "port",
)

SUB_JOB_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "patternProperties": NOTES,
    "required": [
        "timeout",
        "actions",
        "target_group",
        "group_size",
        "role",
        "sub_id",
        "is_vmhost",
        "device_type",
    ],
    "x-refused": {
        "vm_group": "this is a sub-job, of which target_group tells; remove one of the two",
        "is_slave": "is_slave is for boards that share a JTAG probe, not for VM groups; remove it",
    },
    "properties": {
        **{key: JOB_SCHEMA["properties"][key] for key in _JOB_KEYS},
        "actions": {
            "type": "array",
            "items": ACTION_SCHEMA,
            "description": "What the node does, in order. A host may only be there for its VMs.",
        },
        "target_group": {
            **NAME,
            "description": "The group's unique name, by which its members find each other.",
        },
        "group_size": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1 + MAX_VMS,
            "description": "How many members the group has.",
        },
        "role": {**NAME, "description": "The node's role."},
        "sub_id": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9_.-]{1,60}\.[0-9]{1,3}\Z",
            "x-expected": "the job's number, a dot, and the node's number in the group",
            "description": "The job's number, a dot, and the node's number in the group, from 0. "
            "The group's results come together at the node with 0.",
        },
        "is_vmhost": {"type": "boolean", "description": "Whether the node is the host."},
        "auto_start_vms": {
            "type": "boolean",
            "default": True,
            "description": "As in ``vm_group``.",
        },
        "device_type": {
            **NAME,
            "description": f"The host's type; ``{VM_DEVICE_TYPE}`` for every VM, whose type stands "
            "in ``config``.",
        },
        "target": {
            **NAME,
            "description": "The host's device, or the VM's name. ``--target`` stands above it.",
        },
        "config": {
            "type": "object",
            "additionalProperties": False,
            "required": [BACKEND_KEY],
            "description": "A VM's configuration, unless ``--config`` names a file with it.",
            "properties": {
                "device_type": {
                    "const": VM_DEVICE_TYPE,
                    "x-expected": repr(VM_DEVICE_TYPE),
                    "description": f"``{VM_DEVICE_TYPE}``.",
                },
                BACKEND_KEY: {
                    "enum": list(VM_TYPES),
                    "description": "The type of the virtual machine. See :doc:`vms`.",
                },
            },
        },
        "launch_with": VM_SCHEMA["properties"]["launch_with"],
        "shell_prompt": VM_SCHEMA["properties"]["shell_prompt"],
        "optional": VM_SCHEMA["properties"]["optional"],
        "requires": REQUIRES_SCHEMA,
        "requires_policy": REQUIRES_POLICY_SCHEMA,
        "accelerator": VM_SCHEMA["properties"]["accelerator"],
        "job_folder": {
            "type": "string",
            "pattern": r"^/",
            "x-expected": "an absolute path",
            "description": "What relative paths in the sub-job are relative to; by default the "
            "folder of the sub-job's file.",
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A scheduler's options for a sub-job on the command line; None for one that is not given."""

    target: str | None = None
    """The name of the node's device or VM."""
    backend: str | None = None
    """The VM's type."""


def is_sub_job(document: Any) -> bool:
    """Return True if plain data are a sub-job, False for a whole job."""
    return isinstance(document, dict) and "target_group" in document


def parse_sub_job(
    document: Any,
    folder: Path,
    parameter_schemas: Mapping[str, Mapping[str, Any]],
    assignment: Assignment,
) -> VMGroup:
    """Check `document` and return it as a group with this one node.

    `folder` is the folder of the sub-job's file, `parameter_schemas` is as for `parse_job`;
    `assignment` overrides the document.  Raises `JobError` with a list of the problems.
    """
    schemas = {name: _counted(schema) for name, schema in parameter_schemas.items()}
    found = shape_problems(document, SUB_JOB_SCHEMA, schemas)
    found = found or list(_contradictions(document, assignment))
    if found:
        raise JobError("the sub-job is not valid", problems=found)
    settings = parse_settings(document, Path(document.get("job_folder", folder)))
    actions = [_uncounted(action) for action in parse_actions(document["actions"])]
    is_host = document["is_vmhost"]
    backend = assignment.backend or document.get("config", {}).get(BACKEND_KEY, "")
    node = NodeJob(
        target=assignment.target or document.get("target"),
        role=document["role"],
        device_type=document["device_type"] if is_host else backend,
        is_host=is_host,
        sub_id=document["sub_id"],
        group_size=document["group_size"],
        target_group=document["target_group"],
        auto_start_vms=document.get("auto_start_vms", True),
        actions=tuple(one for one in actions if one.command not in SUBMIT_COMMANDS),
        submissions=tuple(one for one in actions if one.command in SUBMIT_COMMANDS),
        launch_with=parse_launch_with(document.get("launch_with", [])),
        shell_prompt=document.get("shell_prompt"),
        optional=document.get("optional", False),
        **parse_wishes(document),
    )
    return VMGroup(
        settings=settings, target_group=node.target_group, nodes=(node,), is_sub_job=True
    )


def _counted(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a command's schema with the number that v1's scheduler gave to each repetition."""
    properties = {"repeat_count": _REPEAT_COUNT, **schema["properties"]}
    return {**schema, "properties": properties}


def _uncounted(action: Action) -> Action:
    if action.command in COUNTED_COMMANDS or "repeat_count" not in action.parameters:
        return action
    parameters = {key: value for key, value in action.parameters.items() if key != "repeat_count"}
    return Action(
        command=action.command,
        parameters=parameters,
        metadata=action.metadata,
        place=action.place,
    )


def _contradictions(document: Mapping[str, Any], assignment: Assignment) -> Iterator[str]:
    """Yield the contradictions in a sub-job whose every part is valid by the schema."""
    yield from watch_problems(document)
    yield from wish_problems("", document)
    if int(document["sub_id"].rpartition(".")[2]) >= document["group_size"]:
        yield (
            f"sub_id: {document['sub_id']!r} is the number of a node that a group of "
            f"{document['group_size']} does not have; they count from 0"
        )
    for index, action in enumerate(list_of(document, "actions")):
        role = action.get("parameters", {}).get("role", document["role"])
        if role != document["role"]:
            yield (
                f"actions[{index}].parameters.role: this is the sub-job of role "
                f"{document['role']!r}, and has that role's actions only; remove it"
            )
        if action.get("parameters", {}).get("repeat", 1) != 1:
            yield (
                f"actions[{index}].parameters.repeat: the actions of a sub-job are repeated "
                "already, each with its repeat_count; remove it"
            )
    yield from (
        _host_problems(document) if document["is_vmhost"] else _vm_problems(document, assignment)
    )


def _host_problems(document: Mapping[str, Any]) -> Iterator[str]:
    for key in ("config", "launch_with", "shell_prompt", "optional", "accelerator"):
        if key in document:
            yield f"{key}: only a VM's sub-job has it; is_vmhost is true"


def _vm_problems(document: Mapping[str, Any], assignment: Assignment) -> Iterator[str]:
    if document["device_type"] != VM_DEVICE_TYPE:
        yield (
            f"device_type: expected {VM_DEVICE_TYPE!r}, as is_vmhost is false; the VM's type "
            f"stands in config.{BACKEND_KEY}"
        )
    if not assignment.backend and "config" not in document:
        yield (
            f"config: missing; it says with {BACKEND_KEY} what kind of VM this is, or a file "
            "does that --config names"
        )
    if not assignment.target and "target" not in document:
        yield "target: missing; it is the VM's name, or --target says it"
    if "shell_prompt" in document:
        yield from expression_problems("shell_prompt", document["shell_prompt"])
