# SPDX-License-Identifier: MIT
"""Numbers and truth values of a job file, which may have been meant as text.

A parameter of a test that its author wrote as ``1.10`` is to reach the test as that, and not as
``1.1``.  A place in a job takes text, or a number, as its schema says; where the schema takes both,
and where it has ``x-text``, the author's text counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lava_vmgroup.base.safe_yaml import Plain
from lava_vmgroup.job.schema import ACTION_PARAMETERS, ACTION_SCHEMA


class JsonNumber(str):
    """A number of a JSON file, as it stands there."""

    value: int | float

    @classmethod
    def whole(cls, text: str) -> JsonNumber:
        """A number without a fraction; raises ValueError for too many digits."""
        return cls._made(text, int(text))

    @classmethod
    def real(cls, text: str) -> JsonNumber:
        """Any other number, also those that JSON does not know."""
        return cls._made(text, float(text))

    @classmethod
    def _made(cls, text: str, value: int | float) -> JsonNumber:
        number = cls(text)
        number.value = value
        return number


def settled(
    value: Any,
    schema: Mapping[str, Any],
    parameter_schemas: Mapping[str, Mapping[str, Any]],
) -> Any:
    """Plain data with a text or a value for each scalar, whichever its place takes.

    `schema` is that of the place, `parameter_schemas` are those of the commands' parameters.
    """
    match value:
        case Plain():
            return str(value) if "string" in _types(schema) else value.value
        case JsonNumber():
            # Text has quotes in JSON: a number where only text goes is a mistake.
            return str(value) if {"string", "number"} <= _types(schema) else value.value
        case bool() if {"string", "boolean"} <= _types(schema):
            return "true" if value else "false"
        case dict():
            schema = _of_action(value, schema, parameter_schemas)
            return {
                str(key) if isinstance(key, str) else key: settled(
                    item, _below(schema, key), parameter_schemas
                )
                for key, item in value.items()
            }
        case list():
            items = schema if "x-text" in schema else schema.get("items", {})
            return [settled(item, items, parameter_schemas) for item in value]
    return value


def _types(schema: Mapping[str, Any]) -> set[str]:
    if "x-text" in schema:
        return {"string", "number", "boolean"}
    kinds = schema.get("type", ())
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _below(schema: Mapping[str, Any], key: Any) -> Mapping[str, Any]:
    """The schema of what stands under `key`."""
    if "x-text" in schema:
        return schema
    further = schema.get("additionalProperties", {})
    below = schema.get("properties", {}).get(key, further)
    return below if isinstance(below, Mapping) else {}


def _of_action(
    value: Mapping[str, Any],
    schema: Mapping[str, Any],
    parameter_schemas: Mapping[str, Mapping[str, Any]],
) -> Mapping[str, Any]:
    """The schema of an action with that of its command's parameters."""
    command = value.get("command")
    if schema is not ACTION_SCHEMA or not isinstance(command, str):
        return schema
    if command not in parameter_schemas:
        return schema
    own = parameter_schemas[command]
    properties = {**own.get("properties", {}), **ACTION_PARAMETERS}
    parameters = {**own, "properties": properties}
    return {**schema, "properties": {**schema["properties"], "parameters": parameters}}
