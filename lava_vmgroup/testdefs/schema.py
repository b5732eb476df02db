# SPDX-License-Identifier: MIT
"""The JSON schema of a test definition, and the messages for files that break it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema

from lava_vmgroup.base.safe_yaml import Plain
from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testdefs.source import SOURCE_SCHEMA

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_STEPS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "string",
        "not": {"type": "string", "pattern": r"(?:^|[^\\])(?:\\\\)*\\\Z"},
        "x-reason": "it ends in a backslash, by which the shell takes the next step for a part of "
        "it; write both as one step",
    },
}
_HANDLER: dict[str, Any] = {  # no value fits
    "not": {},
    "x-reason": "in LAVA v1 it named a plug-in of the dispatcher, and there are none here; remove "
    "it, or do its work in run.steps",
}
_EXPECTED_OF_A_PERSON: dict[str, Any] = {
    "not": {},
    "x-reason": "in a manual test definition it tells a person the right outcome, and no program "
    "can run that; test cases that a test must record stand in expected at the top of the file",
}
_PARAMS = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
_GIT_REPO = {
    "type": ["string", "object"],
    "minLength": 1,
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": _TEXT,
        "branch": _TEXT,
        "destination": _TEXT,
        "skip_by_default": _TEXT,
    },
}
_OUTCOMES = [outcome.value for outcome in Outcome]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["metadata", "run"],
    "additionalProperties": False,
    "properties": {
        # Any other key is allowed, as in LAVA: people keep notes such as maintainer and scope here.
        "metadata": {
            "type": "object",
            "required": ["name", "format"],
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "format": _TEXT,
                "description": _TEXT,
                "version": _TEXT,
                "os": _TEXTS,
                "devices": _TEXTS,
                "environment": _TEXTS,
            },
        },
        "params": _PARAMS,
        "parameters": _PARAMS,
        "install": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "deps": _TEXTS,
                "steps": _STEPS,
                "keys": _TEXTS,
                "sources": _TEXTS,
                "git-repos": {"type": "array", "items": _GIT_REPO},
                "bzr-repos": {"type": "array", "items": {"type": "string", "minLength": 1}},
            },
            "patternProperties": {"^deps-": _TEXTS},
        },
        "run": {
            "type": "object",
            "required": ["steps"],
            "additionalProperties": False,
            "properties": {"steps": _STEPS, "expected": _EXPECTED_OF_A_PERSON},
        },
        "parse": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "pattern": _TEXT,
                "fixupdict": {"type": "object", "additionalProperties": {"enum": _OUTCOMES}},
            },
        },
        "test-case-deps": {"type": "array", "items": SOURCE_SCHEMA},
        "expected": _TEXTS,
        "handler": _HANDLER,
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
    """Return a message for every place where `content` breaks the schema.

    All keys in `content` must be text.
    """
    errors = sorted(
        jsonschema.Draft202012Validator(SCHEMA).iter_errors(content),
        key=lambda error: [str(part) for part in error.absolute_path],
    )
    return [problem for error in errors for problem in _problems(error)]


def found(value: object) -> str:
    """Describe a value of a YAML file, for the end of a message: "found ..."."""
    if value is None:
        return "nothing"
    if isinstance(value, Plain):
        value = value.value
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
            yield f"{place}: {schema['x-reason']}"
        case "required":
            for key in rule:
                if key not in instance:
                    kinds = _kinds(schema["properties"][key]["type"])
                    yield f"{_inside(place, key)}: missing; expected {kinds}"
        case "additionalProperties":
            known = schema["properties"]
            names = ", ".join(key for key in known if "x-reason" not in known[key])
            patterns = tuple(schema.get("patternProperties", ()))
            for key in instance:
                if key not in known and not any(re.search(one, key) for one in patterns):
                    yield f"{_inside(place, key)}: unknown key; expected one of {names}"
        case "minLength":
            yield f"{place}: expected text that is not empty"
        case "enum":
            yield f"{place}: expected one of {', '.join(rule)}, found {found(instance)}"
        case _:
            advice = _QUOTE if error.validator == "type" and _was_text(rule, instance) else ""
            yield f"{place or 'the file'}: expected {_kinds(rule)}, found {found(instance)}{advice}"


_QUOTE = "; YAML takes a line with ': ' for a key and its value: quote the whole line"


def _was_text(rule: str | list[str], instance: object) -> bool:
    """Return whether a mapping may be meant as text, like a step that prints ``name : PASS``."""
    return (
        "string" in rule and "object" not in rule and isinstance(instance, dict) and bool(instance)
    )


def _kinds(types: str | list[str]) -> str:
    return " or ".join(_KINDS[kind] for kind in ([types] if isinstance(types, str) else types))


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _place(path: Any) -> str:
    place = ""
    for part in path:
        place = f"{place}[{part}]" if isinstance(part, int) else _inside(place, part)
    return place
