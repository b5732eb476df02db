# SPDX-License-Identifier: MIT
"""The shape of a test definition, and what a file that has another shape is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema

from lava_vmgroup.results.model import Outcome

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_UNSUPPORTED: dict[str, Any] = {"not": {}}  # no value fits
_OUTCOMES = [outcome.value for outcome in Outcome]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["metadata", "run"],
    "additionalProperties": False,
    "properties": {
        # Open, as in LAVA: people keep notes such as maintainer and scope here.
        "metadata": {
            "type": "object",
            "required": ["name", "format", "description"],
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "format": _TEXT,
                "description": _TEXT,
                "version": {"type": ["string", "number"]},
                "os": _TEXTS,
                "devices": _TEXTS,
                "environment": _TEXTS,
            },
        },
        "params": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        "install": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "deps": _TEXTS,
                "steps": _TEXTS,
                "keys": _UNSUPPORTED,
                "sources": _UNSUPPORTED,
                "git-repos": _UNSUPPORTED,
                "bzr-repos": _UNSUPPORTED,
            },
            "patternProperties": {"^deps-": _UNSUPPORTED},
        },
        "run": {
            "type": "object",
            "required": ["steps"],
            "additionalProperties": False,
            "properties": {"steps": _TEXTS},
        },
        "parse": {
            "type": "object",
            "required": ["pattern"],
            "additionalProperties": False,
            "properties": {
                "pattern": _TEXT,
                "fixupdict": {"type": "object", "additionalProperties": {"enum": _OUTCOMES}},
            },
        },
        "test-case-deps": _UNSUPPORTED,
        "handler": _UNSUPPORTED,
    },
}

_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def schema_problems(content: Any) -> list[str]:
    """Every place where `content` (with text for all keys) does not have the shape."""
    errors = sorted(
        jsonschema.Draft202012Validator(SCHEMA).iter_errors(content),
        key=lambda error: [str(part) for part in error.absolute_path],
    )
    return [problem for error in errors for problem in _problems(error)]


def found(value: object) -> str:
    """What a value of a YAML file is, in the words of its author."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, value)) or 'no keys'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value) if isinstance(value, str) else str(value)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    kind = "text" if isinstance(value, str) else type(value).__name__
    return f"{shown} ({kind})"


def _problems(error: jsonschema.ValidationError) -> Iterator[str]:
    place = _place(error.absolute_path)
    rule: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    match error.validator:
        case "not":
            yield f"{place}: known to LAVA, but not supported yet"
        case "required":
            for key in rule:
                if key not in instance:
                    kinds = _kinds(schema["properties"][key]["type"])
                    yield f"{_inside(place, key)}: missing; expected {kinds}"
        case "additionalProperties":
            known = schema["properties"]
            names = ", ".join(key for key in known if known[key] is not _UNSUPPORTED)
            for key in instance:
                if key not in known and not key.startswith("deps-"):
                    yield f"{_inside(place, key)}: unknown key; expected one of {names}"
        case "minLength":
            yield f"{place}: expected text that is not empty"
        case "enum":
            yield f"{place}: expected one of {', '.join(_OUTCOMES)}, found {found(instance)}"
        case _:
            yield f"{place or 'the file'}: expected {_kinds(rule)}, found {found(instance)}"


def _kinds(types: str | list[str]) -> str:
    return " or ".join(_KINDS[kind] for kind in ([types] if isinstance(types, str) else types))


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _place(path: Any) -> str:
    place = ""
    for part in path:
        place = f"{place}[{part}]" if isinstance(part, int) else _inside(place, part)
    return place
