# SPDX-License-Identifier: MIT
"""The JSON schema of a test definition, and the messages for files that break it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lava_vmgroup.base.safe_yaml import Plain
from lava_vmgroup.base.shape import YAML_TYPES, Wording, violations
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
    "x-refused": {
        "handler": "in LAVA v1 it named a plug-in of the dispatcher, and there are none here; "
        "remove it, or do its work in run.steps",
    },
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
            "properties": {"steps": _STEPS},
            "x-refused": {
                "expected": "in a manual test definition it tells a person the right outcome, and "
                "no program can run that; test cases that a test must record stand in expected at "
                "the top of the file",
            },
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
    },
}


def schema_problems(content: Any) -> list[str]:
    """Return a message for every place where `content` breaks the schema.

    All keys in `content` must be text.
    """
    return list(violations(content, SCHEMA, _WORDING))


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


def _missing(_where: str, schema: Mapping[str, Any]) -> str:
    return f"expected {_WORDING.type_names(schema['type'])}"


def _unknown(name: Any, known: Sequence[str], kind: str) -> str:
    allowed = f"one of {', '.join(known)}"
    return f"unknown key; expected {allowed}" if kind == "key" else _mismatch(allowed, name)


def _mismatch(expected: str, value: Any, _key: object = None) -> str:
    """Return a message, with advice if a mapping may be meant as text, like ``name : PASS``."""
    is_text = isinstance(value, dict) and value and "text" in expected.split(" or ")
    return f"expected {expected}, found {found(value)}{_QUOTE if is_text else ''}"


_QUOTE = "; YAML takes a line with ': ' for a key and its value: quote the whole line"

_WORDING = Wording(
    document="the file",
    types=YAML_TYPES,
    empty="expected text that is not empty",
    missing=_missing,
    unknown=_unknown,
    mismatch=_mismatch,
)
