# SPDX-License-Identifier: MIT
"""Fills a dataclass from configuration text: the fields are the keys, their types the checks.

A field's metadata marks the exceptions:

- `refers`: the default comes from other keys.
- `NO_KEY`: no file sets the field.
- `LATE`: references to unset keys are an error only when the field is used.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import re
import shlex
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.files import Layers

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Instance = TypeVar("Instance", bound="DataclassInstance")

Regex = Annotated[str, "regular expression"]
ShellWords = Annotated[tuple[str, ...], "shell words"]
Count = Annotated[int, "0 or more"]
Positive = Annotated[int, "1 or more"]
Port = Annotated[int, "1 to 65535"]
Seconds = Annotated[float, "0 or more"]
Scale = Annotated[float, "1 to 100"]
RemoteFolder = Annotated[str, "a folder of another machine"]
Sections = Mapping[str, Mapping[str, str]]
"""Names, each with the keys and values of the section of that name."""

NO_KEY: Mapping[str, Any] = types.MappingProxyType({"key": False})
"""The metadata of a field that no file sets."""

LATE: Mapping[str, Any] = types.MappingProxyType({"late": True})
"""The metadata of a field whose references to unset keys are an error only when it is used."""

_LARGEST_SCALE = 100
_LAST_PORT = 65535
_BOOLEANS = {
    **dict.fromkeys(("y", "1", "yes", "on", "true"), True),
    **dict.fromkeys(("n", "0", "no", "off", "false"), False),
}


def refers(text: str) -> Mapping[str, Any]:
    """Return the metadata of a field whose default is `text`, written as in a file: ``%(key)s``."""
    return {"text": text}


def nothing() -> Mapping[str, Any]:
    """Return an empty mapping that cannot be changed, for the `default_factory` of a field."""
    return types.MappingProxyType({})


def key_names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    """Return the keys that a dataclass declares."""
    return tuple(field.name for field in _key_fields(kind))


def default_texts(kind: type[DataclassInstance]) -> dict[str, str]:
    """Return each key of a dataclass with its default, written as in a file."""
    return {field.name: _default_text(field) for field in _key_fields(kind)}


def read_keys(kind: type[Instance], layers: Layers, **others: Any) -> Instance:
    """Return a `kind` with its keys from `layers`, and its other fields from `others`.

    Raises ConfigurationError, naming file and key, for a value that does not fit its field's type.
    """
    hints = _hints(kind)
    present = frozenset(layers.keys())
    values = {
        field.name: _convert(field, hints[field.name], layers)
        for field in _key_fields(kind)
        if field.name in present or "text" in field.metadata
    }
    return kind(**values, **others)


@cache
def _hints(kind: type[DataclassInstance]) -> Mapping[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _key_fields(kind: type[DataclassInstance]) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(kind) if field.metadata.get("key", True)]


def _default_text(field: dataclasses.Field[Any]) -> str:
    if "text" in field.metadata:
        return str(field.metadata["text"])
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    match value:
        case None | dataclasses.MISSING | Mapping():
            return ""
        case bool():
            return str(value).lower()
        case enum.Enum():
            return str(value.value)
        case tuple((enum.Enum(), *_)):
            return " ".join(str(member.value) for member in value)
        case tuple():
            return "\n".join(value)
    return str(value)


def _convert(field: dataclasses.Field[Any], hint: Any, layers: Layers) -> Any:
    key = field.name
    text = layers.late(key) if field.metadata.get("late") else layers.get(key)
    try:
        # v1's parser took a pair of double quotes for an empty value.
        return _value("" if text == '""' else text, hint, layers)
    except ValueError as error:
        raise ConfigurationError(
            f"{layers.place(key)} = {text!r}: expected {error}", hint="correct it there"
        ) from error


def _value(text: str, hint: Any, layers: Layers) -> Any:
    """Return the text as a value of the type `hint`.

    Raises ValueError with the expected value; the caller puts "expected" before its text.
    """
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _value(text, typing.get_args(hint)[0], layers) if text else None
    if hint == Sections:
        return _sections(text, layers)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _member(text, hint)
    if (members := _enum_of_tuple(hint)) is not None:
        return tuple(_member(word, members) for word in text.split())
    if dataclasses.is_dataclass(hint):
        return _record(text, hint)
    return _CONVERTERS[hint](text)


def _text(text: str) -> str:
    """Return the text without blanks around it; quotes around nothing but blanks keep these."""
    text = text.strip()
    return text[1:-1] if re.fullmatch(r'"\s+"', text) else text


def _whole(minimum: int | None = None) -> Callable[[str], int]:
    expected = "a whole number" if minimum is None else f"a whole number, {minimum} or more"

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", text) or (minimum is not None and int(text) < minimum):
            raise ValueError(expected)
        return int(text)

    return convert


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or not 1 <= int(text) <= _LAST_PORT:
        raise ValueError(f"a port, a whole number from 1 to {_LAST_PORT}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("a number of seconds, 0 or more")
    return seconds


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 1 <= scale <= _LARGEST_SCALE:
        raise ValueError(f"a number from 1 to {_LARGEST_SCALE}")
    return scale


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("yes or no (or true, false, on, off, 1, 0)") from None


def _path(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise ValueError("an absolute path")
    return path


def _remote_folder(text: str) -> str:
    path = PurePosixPath(text)
    if not path.is_absolute() or len(path.parts) == 1 or ".." in path.parts:
        raise ValueError("an absolute path below /")
    return str(path)


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression, but: {error}") from None
    return text


def _shell_words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"words quoted as in a shell, but: {error}") from None


def list_items(text: str) -> tuple[str, ...]:
    """Return the items of a list: a JSON array, or one item a line.

    An array begins with a bracket and a quote: a line such as ``[#$]`` is a pattern.  Raises
    ValueError for an array that is not JSON or holds other things than strings.
    """
    if not re.match(r'\[\s*"', text):
        return tuple(filter(None, (line.strip() for line in text.splitlines())))
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"a JSON array (a backslash is written twice in it) or one item a line, but: {error}"
        ) from None
    if not all(isinstance(item, str) for item in items):
        raise ValueError("a JSON array of strings")
    return tuple(items)


def choices(text: str) -> tuple[str, ...]:
    """Return the items of a list, split at commas, too, as in v1.

    Items of a JSON array are not split.
    """
    items = list_items(text)
    if text.lstrip().startswith("["):
        return items
    return tuple(filter(None, (part.strip() for item in items for part in item.split(","))))


def _regexes(text: str) -> tuple[str, ...]:
    return tuple(_regex(item) for item in list_items(text))


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(_path(item) for item in list_items(text))


def _member(text: str, kind: type[enum.Enum]) -> enum.Enum:
    try:
        return kind(text.lower())
    except ValueError:
        names = ", ".join(str(member.value) for member in kind)
        raise ValueError(f"one of {names}") from None


def _enum_of_tuple(hint: Any) -> type[enum.Enum] | None:
    """Return the enumeration whose members a tuple type holds; None for another type."""
    items = typing.get_args(hint)
    if typing.get_origin(hint) is not tuple or not isinstance(items[0], type):
        return None
    return items[0] if issubclass(items[0], enum.Enum) else None


def _record(text: str, kind: Any) -> Any:
    fields = dataclasses.fields(kind)
    needed = [field.name for field in fields if field.default is dataclasses.MISSING]
    items = list_items(text)
    if not len(needed) <= len(items) <= len(fields):
        raise ValueError(f"{len(needed)} items ({', '.join(needed)}), one a line")
    return kind(**{field.name: item for field, item in zip(fields, items, strict=False)})


def _sections(text: str, layers: Layers) -> Sections:
    names = list_items(text)
    missing = sorted(set(names) - set(layers.sections()))
    if missing:
        raise ValueError(f"names that have a section; there is no [{missing[0]}]")
    return types.MappingProxyType(
        {name: types.MappingProxyType(layers.section(name)) for name in names}
    )


_CONVERTERS: Mapping[Any, Callable[[str], Any]] = {
    str: _text,
    int: _whole(),
    Count: _whole(0),
    Positive: _whole(1),
    Port: _port,
    Seconds: _seconds,
    Scale: _scale,
    bool: _boolean,
    Path: _path,
    Regex: _regex,
    tuple[str, ...]: list_items,
    tuple[Regex, ...]: _regexes,
    tuple[Path, ...]: _paths,
    ShellWords: _shell_words,
    RemoteFolder: _remote_folder,
}
