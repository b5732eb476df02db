# SPDX-License-Identifier: MIT
"""Checks plain data by a JSON schema, and explains each violation to the author of the data.

A `Wording` holds the words for one kind of document.  Besides JSON Schema's own, these keys of a
schema give texts to the messages:

- ``x-expected`` is the text that follows "expected".
- ``x-reason`` is the message about a value that ``not`` refuses.
- ``x-refused`` holds the reasons for keys that are refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from lava_vmgroup.base.place import place

YAML_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "object": "a mapping",
        "array": "a list",
        "string": "text",
        "boolean": "true or false",
        "null": "nothing",
    }
)
"""The names of JSON's types for authors of YAML, with their articles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The words of messages about one kind of document.

    The functions return the message without the place; ``missing`` returns its end.
    """

    document: str
    """The place of the whole document, such as "the job"."""
    types: Mapping[str, str]
    """The name of each JSON type, with its article."""
    empty: str
    """The message about an empty text or list."""
    missing: Callable[[str, Mapping[str, Any]], str]
    """Takes the place of an object and the schema of the key that it lacks."""
    unknown: Callable[[Any, Sequence[Any], str], str]
    """Takes an unknown key or value, the known ones, and the word "key" or "value"."""
    mismatch: Callable[[str, Any, object], str]
    """Takes the expected value in words, the value in its place, and the key of that."""

    def type_names(self, rule: str | Sequence[str]) -> str:
        """Return the names of the types that a schema allows."""
        kinds = [rule] if isinstance(rule, str) else rule
        return " or ".join(self.types[kind] for kind in kinds)


def violations(
    value: Any, schema: Mapping[str, Any], wording: Wording, base: Sequence[Any] = ()
) -> Iterator[str]:
    """Yield a ``place: message`` line for each violation of `schema`, in the order of the places.

    `base` is the path of `value` in its document.
    """
    errors = _Validator(schema).iter_errors(value)
    for error in sorted(errors, key=lambda one: [str(part) for part in one.absolute_path]):
        yield from _explain(error, [*base, *error.absolute_path], wording)


def _explain(error: ValidationError, path: Sequence[Any], wording: Wording) -> Iterator[str]:
    """Yield the lines for one validation error."""
    where = place(path) or wording.document
    instance: Any = error.instance
    rule: Any = error.validator_value
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    match error.validator:
        case "additionalProperties":
            refused, known = schema.get("x-refused", {}), list(schema["properties"])
            for key in sorted(_unknown_keys(instance, schema), key=str):
                reason = refused.get(key) or wording.unknown(str(key), known, "key")
                yield f"{place([*path, key])}: {reason}"
        case "required":
            missing = next(key for key in rule if f"'{key}'" in error.message)
            needed = wording.missing(where, schema.get("properties", {}).get(missing, {}))
            yield f"{place([*path, missing])}: missing; {needed}"
        case "not":
            yield f"{where}: {schema['x-reason']}"
        case "enum":
            yield f"{where}: {wording.unknown(instance, rule, 'value')}"
        case "minItems" | "minLength":
            yield f"{where}: {wording.empty}"
        case _:
            expected = schema.get("x-expected") or _expected(error, wording)
            yield f"{where}: {wording.mismatch(expected, instance, path[-1] if path else None)}"


def _unknown_keys(instance: Mapping[Any, Any], schema: Mapping[str, Any]) -> Iterator[Any]:
    patterns = tuple(schema.get("patternProperties", ()))
    for key in instance.keys() - schema["properties"].keys():
        if not (isinstance(key, str) and any(re.search(pattern, key) for pattern in patterns)):
            yield key


def _expected(error: ValidationError, wording: Wording) -> str:
    rule: Any = error.validator_value
    if error.validator == "type":
        return wording.type_names(rule)
    return _EXPECTED.get(str(error.validator), f"what {error.validator} {{!r}} allows").format(rule)


_EXPECTED = {
    "minimum": "a number of at least {}",
    "maximum": "a number of at most {}",
    "exclusiveMinimum": "a number of more than {}",
    "uniqueItems": "no item twice",
}


def _is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_checker: object, value: object) -> bool:
    return _is_integer(None, value) or (isinstance(value, float) and math.isfinite(value))


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
