# SPDX-License-Identifier: MIT
"""Problems in a job, in words that the job's author knows.

`problems` finds all of them at once, each with its place in the file.  Each action describes its
own parameters; the caller passes their schemas.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from lava_vmgroup.base.masking import masked
from lava_vmgroup.job.contradictions import contradictions
from lava_vmgroup.job.place import list_of, place, shown, unknown
from lava_vmgroup.job.refused import PARAMETERS as REFUSED_PARAMETERS
from lava_vmgroup.job.refused import command_refusal
from lava_vmgroup.job.schema import ACTION_PARAMETERS, JOB_SCHEMA

MAX_PROBLEMS = 100
"""The most problems that are listed: a file with more of them is not a job at all."""

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
}


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_checker: object, value: object) -> bool:
    is_float = isinstance(value, float) and math.isfinite(value)
    return is_float or _is_integer(None, value)


def _unique_items(
    _validator: object, wanted: object, items: object, _schema: object
) -> Iterator[ValidationError]:
    if wanted and isinstance(items, list):
        texts = {json.dumps(item, sort_keys=True, default=str) for item in items}
        if len(texts) < len(items):
            yield ValidationError("an item stands twice")


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    # JSON Schema takes 2.0 for a whole number, and NaN would pass every limit.
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
    # The library compares each item with each other one, which is slow for a long list.
    validators={"uniqueItems": _unique_items},
)


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
        _schema_problems(document, schema, ()),
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


def _schema_problems(value: Any, schema: Mapping[str, Any], base: Sequence[Any]) -> Iterator[str]:
    errors = _Validator(schema).iter_errors(value)
    for error in sorted(errors, key=lambda one: [str(part) for part in one.absolute_path]):
        yield from _explain(error, [*base, *error.absolute_path])


def _explain(error: ValidationError, path: Sequence[Any]) -> Iterator[str]:
    """Yield the lines for one validation error, in words that the job's author knows."""
    where = place(path) or "the job"
    instance: Any = error.instance
    rule: Any = error.validator_value
    schema = _schema_of(error)
    if error.validator == "additionalProperties":
        refused = schema.get("x-refused", {})
        known = list(schema["properties"])
        notes = tuple(schema.get("patternProperties", ()))
        unknown = (key for key in instance.keys() - set(known) if not _fits_any(key, notes))
        for key in sorted(unknown, key=str):
            reason = refused.get(key) or _unknown(str(key), known, "key")
            yield f"{place([*path, key])}: {reason}"
    elif error.validator == "required":
        missing = next(key for key in rule if f"'{key}'" in error.message)
        meaning = _meaning(schema.get("properties", {}).get(missing, {}))
        yield f"{place([*path, missing])}: missing; {where} needs it{meaning}"
    elif error.validator == "enum" and isinstance(instance, str):
        yield f"{where}: {_unknown(instance, rule, 'value')}"
    elif error.validator in ("minItems", "minLength"):
        yield f"{where}: must not be empty"
    else:
        value = masked(instance, path[-1] if path else None)
        yield f"{where}: expected {_expected(error)}, got {shown(value)}"


def _fits_any(key: object, patterns: Sequence[str]) -> bool:
    return isinstance(key, str) and any(re.search(pattern, key) for pattern in patterns)


def _schema_of(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _meaning(schema: Mapping[str, Any]) -> str:
    """Return the first sentence of a key's description, as the end of a message."""
    description = str(schema.get("description", "")).replace("``", "")
    sentence = description.partition(". ")[0].rstrip(".")
    return f": {sentence[0].lower()}{sentence[1:]}" if sentence else ""


def _expected(error: ValidationError) -> str:
    """Return the value that the failed rule expects, in words; ``x-expected`` overrides them."""
    own = _schema_of(error).get("x-expected")
    if own is not None:
        return str(own)
    rule: Any = error.validator_value
    match error.validator:
        case "type":
            kinds = [rule] if isinstance(rule, str) else rule
            return " or ".join(_TYPE_NAMES[kind] for kind in kinds)
        case "enum":
            return f"one of {', '.join(repr(value) for value in rule)}"
        case "minimum":
            return f"a number of at least {rule}"
        case "maximum":
            return f"a number of at most {rule}"
        case "exclusiveMinimum":
            return f"a number of more than {rule}"
        case "uniqueItems":
            return "no item twice"
        case _:
            return f"what {error.validator} {rule!r} allows"


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
            yield from _schema_problems(parameters, schema, ("actions", index, "parameters"))


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


def _unknown(name: str, known: Sequence[Any], kind: str) -> str:
    return _NOT_YET.get(name) or unknown(name, known, kind)
