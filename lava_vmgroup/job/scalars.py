# SPDX-License-Identifier: MIT
"""Numbers and truth values of a job file, which its author may have meant as text.

If an author writes a test's parameter as ``1.10``, the test must get ``1.10`` and not ``1.1``.  So
the schema of each place decides.  If it takes text and numbers, or has ``x-text``, the value is the
author's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lava_vmgroup.base.safe_yaml import Plain
from lava_vmgroup.job.schema import ACTION_PARAMETERS, ACTION_SCHEMA


class JsonNumber(str):
    """The text of a number in a JSON file, with its value."""

    value: int | float

    @classmethod
    def whole(cls, text: str) -> JsonNumber:
        """Return a number without a fraction; raises ValueError for too many digits."""
        return cls._made(text, int(text))

    @classmethod
    def real(cls, text: str) -> JsonNumber:
        """Return any other number; also ``NaN`` and ``Infinity``, which Python's parser accepts."""
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
    """Return the plain data with each scalar as its text or as its value.

    `schema`, the schema of the place of `value`, decides.  `parameter_schemas` holds the schemas
    of the commands' parameters.  Raises ValueError for a number with too many digits.
    """
    match value:
        case Plain():
            return str(value) if "string" in _types(schema) else value.value
        case JsonNumber():
            # Text has quotes in JSON, so a number in a place for text only is a mistake.  It stays
            # a number, which the schema then refuses.
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
    """Return the schema of the value under `key`."""
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
    """Return `schema`; if it is an action's, add the schema of its command's parameters."""
    command = value.get("command")
    if schema is not ACTION_SCHEMA or not isinstance(command, str):
        return schema
    if command not in parameter_schemas:
        return schema
    own = parameter_schemas[command]
    properties = {**own.get("properties", {}), **ACTION_PARAMETERS}
    parameters = {**own, "properties": properties}
    return {**schema, "properties": {**schema["properties"], "parameters": parameters}}
