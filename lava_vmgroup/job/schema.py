# SPDX-License-Identifier: MIT
"""The shape of a job, as JSON schemas.

- ``description`` explains a key, in reStructuredText.  The reference in the documentation and the
  messages about missing keys are made of it.
- ``x-expected`` and ``x-refused`` give texts to messages: see `base.shape`.
- Below ``x-text`` every number and truth value is its author's text.
"""

from __future__ import annotations

from typing import Any

from lava_vmgroup.base.console_faults import NAMES, FaultSeverity
from lava_vmgroup.job import refused
from lava_vmgroup.job.model import RequiresPolicy, WantedAccelerator
from lava_vmgroup.job.reference import FILE_SCHEMA

VM_TYPES = ("kvm", "kvm-arm", "kvm-aarch32", "kvm-aarch64")

MAX_VMS = 128
"""The most VMs of a job: more than any board carries, so a greater number is a mistake."""

MAX_REPEAT = 1000
"""The most repetitions of one action."""

MAX_TIMEOUT_S = 30 * 24 * 3600

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z"
"""Names go over consoles and into paths, so they hold no character that needs quoting."""

NAME = {
    "type": "string",
    "pattern": NAME_PATTERN,
    "x-expected": "a name of letters, digits, '_', '.' and '-', 64 at most",
}
RUNS_SOMETHING = r"^\s*[^\s#]"
"""A shell command.  Blanks or a comment are refused: they would do nothing and succeed."""

_STRINGS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}

REQUIRES_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "string",
        "maxLength": 300,
        "x-expected": "a word in quotes such as 'kvm', 'gic:3' or 'cpus>=4'",
    },
    "description": "Things that must be there on the host, such as ``kvm`` or ``cpus>=4``. See "
    ":ref:`requires`.",
}
REQUIRES_POLICY_SCHEMA: dict[str, Any] = {
    "enum": [policy.value for policy in RequiresPolicy],
    "default": RequiresPolicy.SKIP.value,
    "description": "The end when something of ``requires`` is missing: ``skip`` skips, ``fail`` "
    "ends the job with status 4.",
}

VM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["device_type", "role"],
    "properties": {
        "device_type": {
            "enum": list(VM_TYPES),
            "description": "The type of the virtual machine. See :doc:`vms`.",
        },
        "role": {
            **NAME,
            "description": "The label by which actions and tests name the VM. Several entries may "
            "have the same role, which then has more members; none may have the host's.",
        },
        "count": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_VMS,
            "default": 1,
            "description": "How many equal VMs there are of this entry.",
        },
        "image": {
            **FILE_SCHEMA,
            "description": "The disk image, where no deploy action gives the role one.",
        },
        "launch_with": {
            "type": ["array", "string"],
            "items": {"type": "string", "pattern": RUNS_SOMETHING, "x-expected": "a command"},
            "minItems": 1,
            "pattern": RUNS_SOMETHING,
            "x-expected": "a command, or a list of commands",
            "description": "The commands that start the VM on the host, instead of the usual one. "
            "See :doc:`vms`.",
        },
        "shell_prompt": {
            "type": "string",
            "minLength": 1,
            "description": "A regular expression for the prompt of the VM's shell.",
        },
        "optional": {
            "type": "boolean",
            "default": False,
            "description": "Whether the job goes on without the VM when the host cannot carry it. "
            "See :doc:`doctor`.",
        },
        "requires": REQUIRES_SCHEMA,
        "requires_policy": REQUIRES_POLICY_SCHEMA,
        "accelerator": {
            "enum": [wanted.value for wanted in WantedAccelerator],
            "default": WantedAccelerator.ANY.value,
            "description": "The way in which QEMU may run the VM: ``kvm`` never emulates it, "
            "``tcg`` always does, ``any`` emulates it where KVM does not work. See :doc:`vms`.",
        },
        "tags": {**_STRINGS, "description": "Meant for a scheduler; checked and not used."},
    },
}

HOST_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["device_type"],
    "description": "The board that the virtual machines run on.",
    "properties": {
        "device_type": {
            **NAME,
            "description": "The kind of board. It is the only device of that type in the lab's "
            "configuration, or the one that ``--target`` names.",
        },
        "role": {
            **NAME,
            "default": "host",
            "description": "The label by which actions and tests name the host.",
        },
        "requires": {
            **REQUIRES_SCHEMA,
            "description": "Things that must be there on the board once it has booted; else the "
            "whole group is skipped. See :ref:`requires`.",
        },
        "requires_policy": REQUIRES_POLICY_SCHEMA,
    },
}

VM_GROUP_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["host", "vms"],
    "description": "The host and its virtual machines.",
    "properties": {
        "host": HOST_SCHEMA,
        "auto_start_vms": {
            "type": "boolean",
            "default": True,
            "description": "Whether the VMs start as soon as the host has booted; if not, they "
            "start when a test on the host calls ``lava-start-vms``.",
        },
        "vms": {
            "type": "array",
            "minItems": 1,
            "items": VM_SCHEMA,
            "description": f"The virtual machines, {MAX_VMS} at most in all.",
        },
    },
}

WATCH_PATTERN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "pattern"],
    "properties": {
        "name": {
            **NAME,
            "description": "What the fault is called in messages and results.",
        },
        "pattern": {
            "type": "string",
            "minLength": 1,
            "description": "A regular expression, looked for in each line of the console, in its "
            "first 1000 characters. One that could take for ever is refused.",
        },
        "severity": {
            "enum": [severity.value for severity in FaultSeverity],
            "default": FaultSeverity.FATAL.value,
            "description": "``fatal`` ends the node, ``error`` fails a test case, ``note`` is only "
            "told.",
        },
    },
}

WATCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "What is looked for on the consoles of all nodes. See :doc:`consoles`.",
    "properties": {
        "silence": {
            "type": "number",
            "minimum": 0,
            "maximum": MAX_TIMEOUT_S,
            "description": "Seconds for which a console may be silent while something is expected "
            "of it; then the node ends. 0 is for ever. By default the device's "
            "``console_silence`` holds.",
        },
        "ignore": {
            "type": "array",
            "items": {"enum": list(NAMES)},
            "uniqueItems": True,
            "description": "Names of faults that are none for this job.",
        },
        "patterns": {
            "type": "array",
            "minItems": 1,
            "items": WATCH_PATTERN_SCHEMA,
            "description": "What else is a fault. Where one of these fits, it gives the line its "
            "name and severity.",
        },
    },
}

ACTION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["command"],
    "properties": {
        "command": {
            "type": "string",
            "description": "The name of the action. See :doc:`actions`.",
        },
        "parameters": {
            "type": "object",
            "properties": {"testdef_repos": {"x-text": True}},
            "description": "What the action needs to know.",
        },
        "metadata": {
            "type": "object",
            "additionalProperties": {
                "type": ["string", "number", "boolean"],
            },
            "description": "Attributes of the results of each node that runs the action, from "
            "then on; facts that a node finds out itself stand above them.",
        },
    },
}

ACTION_PARAMETERS: dict[str, Any] = {
    "role": {
        "x-text": True,
        "description": "The only role that runs the action; without it, every node does. There is "
        "no list of roles.",
    },
    "repeat": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_REPEAT,
        "default": 1,
        "description": "How often the action is run, one directly after the other. Not for "
        "actions that have an effect only once.",
    },
}
"""Parameters of every action; an action whose schema has ``x-once`` has no ``repeat``."""

OBSOLETE_KEYS = ("hostname", "port")
"""Once the coordinator's address; ignored, as each group has a coordinator of its own."""

_ADDRESSES = {**_STRINGS, "description": "Meant for a scheduler; checked and not used."}

NOTES: dict[str, Any] = {"^_": {}}
"""Keys for the author's notes, such as ``_comment``."""

JOB_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "patternProperties": NOTES,
    "required": ["timeout", "vm_group", "actions"],
    "x-refused": refused.TOP_LEVEL,
    "properties": {
        "timeout": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": MAX_TIMEOUT_S,
            "description": "Seconds for the whole job, from its start to the end of its tests.",
        },
        "vm_group": VM_GROUP_SCHEMA,
        "actions": {
            "type": "array",
            "minItems": 1,
            "items": ACTION_SCHEMA,
            "description": "What to do, in order.",
        },
        "job_name": {
            "type": "string",
            "default": "LAVA Results",
            "description": "A name for the results.",
        },
        "logging_level": {
            "enum": ["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"],
            "default": "INFO",
            "description": "How much is told on standard error.",
        },
        "tags": {**_STRINGS, "description": "Labels that the results carry."},
        "console_watch": WATCH_SCHEMA,
        "priority": {
            "type": "string",
            "pattern": r"^(?i:high|medium|low)\Z",
            "x-expected": "high, medium or low",
            "description": "``high``, ``medium`` or ``low``. Meant for a scheduler; not used.",
        },
        "health_check": {
            "const": False,
            "x-expected": "false: a VM group is no health check of a single device",
            "description": "``false``: a VM group is no health check of a single device.",
        },
        "notify": _ADDRESSES,
        "notify_on_incomplete": _ADDRESSES,
        "hostname": {
            "type": "string",
            "description": "Obsolete: once the coordinator's; ignored.",
        },
        "port": {
            "type": "integer",
            "description": "Obsolete: once the coordinator's; ignored.",
        },
    },
}
