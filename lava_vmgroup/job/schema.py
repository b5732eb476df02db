# SPDX-License-Identifier: MIT
"""The shape of a job, and messages for what does not fit it.

`problems` finds everything that is wrong at once, each with its place in the file.  The
parameters of an action are described by the action itself; the caller hands their schemas in.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from lava_vmgroup.job.reference import FILE_SCHEMA

VM_TYPES = ("kvm", "kvm-arm", "kvm-aarch32", "kvm-aarch64")

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Names travel on consoles and in paths, so they hold nothing that needs quoting."""

_NAME = {
    "type": "string",
    "pattern": NAME_PATTERN,
    "x-expected": "a name of letters, digits, '_', '.' and '-'",
}
_STRINGS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}

VM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["device_type", "role"],
    "properties": {
        "device_type": {"enum": list(VM_TYPES)},
        "role": _NAME,
        "count": {"type": "integer", "minimum": 1},
        "image": FILE_SCHEMA,
        "launch_with": {
            "type": ["array", "string"],
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "minLength": 1,
            "x-expected": "a command, or a list of commands",
        },
        "shell_prompt": {"type": "string", "minLength": 1},
        "tags": _STRINGS,
    },
}

JOB_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["timeout", "vm_group", "actions"],
    "properties": {
        "job_name": {"type": "string"},
        "timeout": {"type": "number", "exclusiveMinimum": 0},
        "logging_level": {"enum": ["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"]},
        "priority": {"type": "string"},
        "tags": _STRINGS,
        "health_check": {"type": "boolean"},
        "notify": {"type": "array", "items": {"type": "string"}},
        "notify_on_incomplete": {"type": "array", "items": {"type": "string"}},
        "vm_group": {
            "type": "object",
            "additionalProperties": False,
            "required": ["host", "vms"],
            "properties": {
                "host": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["device_type"],
                    "properties": {"device_type": _NAME, "role": _NAME},
                },
                "auto_start_vms": {"type": "boolean"},
                "vms": {"type": "array", "minItems": 1, "items": VM_SCHEMA},
            },
        },
        "actions": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["command"],
                "properties": {
                    "command": {"type": "string"},
                    "parameters": {"type": "object"},
                    "metadata": {},
                },
            },
        },
    },
}

_TYPE_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}

_NOT_YET = {
    "xen": "xen is not supported yet",
    "hwpack": "hwpack needs linaro-media-create, which no longer exists: give a complete image",
    "target_group": "this is a sub-job of a group; give the whole job instead",
    "device_group": "device_group is not a VM group: describe the nodes in vm_group",
}


def problems(document: Any, parameter_schemas: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Everything in `document` that does not fit, as ``place: what was expected`` lines.

    `parameter_schemas` maps each known command to the JSON schema of its parameters; ``role``
    is added to each here.
    """
    found = [*_schema_problems(document, JOB_SCHEMA, ())]
    found += _action_problems(document, parameter_schemas)
    found += _role_problems(document)
    return found


def _schema_problems(value: Any, schema: Mapping[str, Any], base: Sequence[Any]) -> Iterator[str]:
    errors = Draft202012Validator(schema).iter_errors(value)
    for error in sorted(errors, key=lambda one: [str(part) for part in one.absolute_path]):
        yield from _explain(error, [*base, *error.absolute_path])


def _explain(error: ValidationError, path: Sequence[Any]) -> Iterator[str]:
    """The lines for one validation error, in the words of the job's author."""
    where = place(path) or "the job"
    instance: Any = error.instance
    rule: Any = error.validator_value
    if error.validator == "additionalProperties":
        known = list(_schema_of(error)["properties"])
        for key in instance.keys() - set(known):
            yield f"{place([*path, key])}: {_unknown(str(key), known, 'key')}"
    elif error.validator == "required":
        missing = next(key for key in rule if f"'{key}'" in error.message)
        yield f"{place([*path, missing])}: missing; {where} needs it"
    elif error.validator == "enum" and isinstance(instance, str):
        yield f"{where}: {_unknown(instance, rule, 'value')}"
    elif error.validator in ("minItems", "minLength"):
        yield f"{where}: must not be empty"
    else:
        yield f"{where}: expected {_expected(error)}, got {_shown(instance)}"


def _schema_of(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _expected(error: ValidationError) -> str:
    """What the failed rule asks for, in words; a schema may give its own as ``x-expected``."""
    own = _schema_of(error).get("x-expected")
    if own is not None:
        return str(own)
    rule: Any = error.validator_value
    match error.validator:
        case "type":
            return " or ".join(_TYPE_NAMES[kind] for kind in [rule] if isinstance(kind, str))
        case "enum":
            return f"one of {', '.join(repr(value) for value in rule)}"
        case "minimum":
            return f"a number of at least {rule}"
        case "exclusiveMinimum":
            return f"a number of more than {rule}"
        case "uniqueItems":
            return "no item twice"
        case _:
            return f"what {error.validator} {rule!r} allows"


def _action_problems(document: Any, schemas: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for index, action in enumerate(_list(document, "actions")):
        command = action.get("command") if isinstance(action, dict) else None
        if not isinstance(command, str):
            continue
        if command not in schemas:
            yield f"actions[{index}].command: {_unknown(command, sorted(schemas), 'command')}"
            continue
        schema = schemas[command]
        with_role = {**schema, "properties": {**schema["properties"], "role": {}}}
        parameters = action.get("parameters", {})
        if isinstance(parameters, dict):
            yield from _schema_problems(parameters, with_role, ("actions", index, "parameters"))


def _role_problems(document: Any) -> Iterator[str]:
    """Roles that contradict each other; says nothing of what has no right shape."""
    vm_group = document.get("vm_group") if isinstance(document, dict) else None
    host = vm_group.get("host") if isinstance(vm_group, dict) else None
    host_role = host.get("role", "host") if isinstance(host, dict) else "host"
    roles = [host_role]
    for index, vm in enumerate(_list(vm_group, "vms")):
        role = vm.get("role") if isinstance(vm, dict) else None
        if role == host_role:
            yield (
                f"vm_group.vms[{index}].role: {role!r} is the host's role; "
                "give the VMs a role of their own"
            )
        roles.append(role)
    known = [role for role in dict.fromkeys(map(str, roles)) if role != "None"]
    for index, action in enumerate(_list(document, "actions")):
        parameters = action.get("parameters") if isinstance(action, dict) else None
        if not isinstance(parameters, dict) or "role" not in parameters:
            continue
        role, where = parameters["role"], f"actions[{index}].parameters.role"
        if not isinstance(role, str):
            yield f"{where}: expected one role, or no role for all of them, got {_shown(role)}"
        elif role not in known:
            yield f"{where}: {_unknown(role, known, 'role')}"


def _list(value: Any, key: str) -> list[Any]:
    items = value.get(key) if isinstance(value, dict) else None
    return items if isinstance(items, list) else []


def place(path: Sequence[Any]) -> str:
    """A path into the job in its reader's notation: ``vm_group.vms[0].count``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _unknown(name: str, known: Sequence[Any], kind: str) -> str:
    if name in _NOT_YET:
        return _NOT_YET[name]
    words = [str(word) for word in known]
    near = difflib.get_close_matches(name, words, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}; {guess}known: {', '.join(words)}"


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
