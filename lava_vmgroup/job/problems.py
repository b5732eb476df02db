# SPDX-License-Identifier: MIT
"""Problems in a job, in words that the job's author knows.

`problems` finds all of them at once, each with its place in the file.  Each action describes its
own parameters; the caller passes their schemas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from lava_vmgroup.base.masking import masked
from lava_vmgroup.base.place import list_of, place, shown, unknown
from lava_vmgroup.base.shape import Wording, violations
from lava_vmgroup.job.contradictions import contradictions
from lava_vmgroup.job.refused import PARAMETERS as REFUSED_PARAMETERS
from lava_vmgroup.job.refused import command_refusal
from lava_vmgroup.job.schema import ACTION_PARAMETERS, JOB_SCHEMA

MAX_PROBLEMS = 100
"""The most problems that are listed: a file with more of them is not a job at all."""

_NOT_YET = {"xen": "xen is not supported yet"}


def problems(document: Any, parameter_schemas: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the problems in `document`, as ``place: what was expected`` lines.

    `parameter_schemas` maps each known command to the JSON schema of its parameters; the parameters
    that every action takes are added here.  Contradictions are reported only if all parts are
    valid by themselves.
    """
    found = shape_problems(document, JOB_SCHEMA, parameter_schemas)
    found += _role_problems(document)
    return found or contradictions(document)


def shape_problems(
    document: Any,
    schema: Mapping[str, Any],
    parameter_schemas: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Return the problems in the shape of `document`, at most `MAX_PROBLEMS`.

    `schema` and the schemas of its actions give the shape; its text must be valid, too.
    """
    found = chain(
        _text_problems(document, []),
        violations(document, schema, _WORDING),
        _action_problems(document, parameter_schemas),
    )
    try:
        return list(islice(found, MAX_PROBLEMS))
    except RecursionError:
        return ["the job: nested too deeply, or into itself"]


def _text_problems(value: Any, path: list[Any]) -> Iterator[str]:
    """Yield the places of text that a file name, a shell or a result file cannot hold."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            yield f"{place(path) or 'the job'}: expected text without NUL and halves of characters"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _text_problems(key, [*path, key])
            yield from _text_problems(item, [*path, key])
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _text_problems(item, [*path, index])


def _action_problems(document: Any, schemas: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for index, action in enumerate(list_of(document, "actions")):
        command = action.get("command") if isinstance(action, dict) else None
        if not isinstance(command, str):
            continue
        if command not in schemas:
            reason = command_refusal(command) or _unknown(command, sorted(schemas), "command")
            yield f"actions[{index}].command: {reason}"
            continue
        parameters = action.get("parameters", {})
        if isinstance(parameters, dict):
            schema = with_common_parameters(command, schemas[command])
            path = ("actions", index, "parameters")
            yield from violations(parameters, schema, _WORDING, path)


def with_common_parameters(command: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of an action's parameters, with the parameters that every action takes.

    An action whose schema has ``x-once`` gets no ``repeat``.
    """
    common = dict(ACTION_PARAMETERS)
    refused = dict(REFUSED_PARAMETERS)
    if schema.get("x-once"):
        del common["repeat"]
        refused["repeat"] = f"{command} has an effect only once; remove it"
    return {
        **schema,
        "properties": {**schema["properties"], **common},
        "x-refused": {**refused, **schema.get("x-refused", {})},
    }


def _role_problems(document: Any) -> Iterator[str]:
    """Yield the problems with roles; parts of a wrong shape are left to the schema."""
    vm_group = document.get("vm_group") if isinstance(document, dict) else None
    host = vm_group.get("host") if isinstance(vm_group, dict) else None
    host_role = host.get("role", "host") if isinstance(host, dict) else "host"
    roles = [host_role]
    for index, vm in enumerate(list_of(vm_group, "vms")):
        role = vm.get("role") if isinstance(vm, dict) else None
        if role == host_role:
            yield (
                f"vm_group.vms[{index}].role: {role!r} is the host's role; "
                "give the VMs a role of their own"
            )
        roles.append(role)
    known = [role for role in dict.fromkeys(map(str, roles)) if role != "None"]
    for index, action in enumerate(list_of(document, "actions")):
        parameters = action.get("parameters") if isinstance(action, dict) else None
        if not isinstance(parameters, dict) or "role" not in parameters:
            continue
        role, where = parameters["role"], f"actions[{index}].parameters.role"
        if not isinstance(role, str):
            yield f"{where}: expected one role, or no role for all of them, got {shown(role)}"
        elif role not in known:
            yield f"{where}: {_unknown(role, known, 'role')}"


def _missing(where: str, schema: Mapping[str, Any]) -> str:
    """Return the reason for a missing key: the first sentence of its description, if it has one."""
    description = str(schema.get("description", "")).replace("``", "")
    sentence = description.partition(". ")[0].rstrip(".")
    meaning = f": {sentence[0].lower()}{sentence[1:]}" if sentence else ""
    return f"{where} needs it{meaning}"


def _mismatch(expected: str, value: Any, key: object = None) -> str:
    return f"expected {expected}, got {shown(masked(value, key))}"


def _unknown(name: Any, known: Sequence[Any], kind: str) -> str:
    if not isinstance(name, str):
        return _mismatch(f"one of {', '.join(map(repr, known))}", name)
    return _NOT_YET.get(name) or unknown(name, known, kind)


_WORDING = Wording(
    document="the job",
    types={
        "object": "an object",
        "array": "a list",
        "string": "a string",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
    },
    empty="must not be empty",
    missing=_missing,
    unknown=_unknown,
    mismatch=_mismatch,
)
