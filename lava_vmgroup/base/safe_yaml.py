# SPDX-License-Identifier: MIT
"""YAML from untrusted people: plain data of a limited size, with no key twice in an object.

An alias takes only some characters of a file but may stand for a large value.  A few lines of
aliases to aliases stand for more values than any memory holds.  So values are counted with those
that the aliases stand for.

YAML turns scalars without quotes into numbers, dates and truth values and drops their text:
``1.10`` becomes 1.1, ``yes`` True, ``010`` 8.  Here every scalar keeps its author's text, and
`Plain.value` gives YAML's value of a scalar without quotes.  Only ``null``, ``~`` and an empty
scalar become None.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

MAX_VALUES = 100_000
"""Keys and values in one document; the values behind an alias count each time it is used."""

MAX_TEXT = 16 << 20
"""Characters of one document: the parser takes a minute for them."""

_MAX_BITS = 1024
"""Bits of a whole number: Python refuses to print one of some thousand digits."""

_SHOWN = 60
"""Characters of a value that messages contain."""

_DECIMAL = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
"""A number by JSON's rules that YAML 1.1 takes for text."""
_AMBIGUOUS = re.compile(r"[-+]?0[0-9_]|.*:")
"""Text that some YAML parsers take for a number of base 8 or 60, and others do not."""

_TAG = "tag:yaml.org,2002:"
_KEPT = frozenset({f"{_TAG}null", f"{_TAG}merge"})
_VALUES = frozenset({f"{_TAG}{name}" for name in ("bool", "int", "float")})


class Plain(str):
    """The text of a scalar without quotes."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """The number or truth value if all YAML parsers agree on it, else the text.

        Raises ValueError for a number with too many digits.
        """
        if _DECIMAL.fullmatch(self):
            return float(self)
        if _AMBIGUOUS.match(self):
            return str(self)
        loader = yaml.SafeLoader("")
        tag = loader.resolve(yaml.ScalarNode, str(self), (True, False))  # type: ignore[no-untyped-call]
        if tag not in _VALUES:
            return str(self)
        try:
            value = loader.construct_object(yaml.ScalarNode(tag, str(self)))
        except ValueError as error:
            text = f"{self[:_SHOWN]!r} is no number, or has too many digits"
            raise ValueError(text) from error
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise ValueError("a number has too many digits")
        return value


ERRORS = (yaml.YAMLError, RecursionError, ValueError)
"""The errors of `load` and of `Plain.value`."""


def load(text: str, *, repeated_keys: bool = False) -> Any:
    """Return the one document in `text` as plain data, with a `Plain` for each bare scalar.

    An object with the same key twice is an error; with `repeated_keys` the last one counts.
    Raises `yaml.YAMLError` for text that is not YAML, is too large, or does not fit its tag, and
    RecursionError for data nested too deeply or into themselves.
    """
    if len(text) > MAX_TEXT:
        raise yaml.YAMLError(f"more than {MAX_TEXT} characters")
    try:
        document = yaml.load(text, _Loader if repeated_keys else _StrictLoader)  # noqa: S506
    except yaml.reader.ReaderError as error:
        raise _placed(error, text) from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise yaml.YAMLError("a value does not fit its tag") from error
    if _size(document, {}) > MAX_VALUES:
        raise _too_many()
    return document


def problem(error: Exception) -> tuple[int, int, str]:
    """Return the line and the column of an error of `load`, and a message without them.

    Both count from 1, and are 0 if the error has no place.
    """
    if isinstance(error, RecursionError):
        return 0, 0, "nested too deeply, or into itself"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return mark.line + 1, mark.column + 1, f"not YAML: {error.problem}"
    return 0, 0, f"not YAML: {error}"


def _placed(error: yaml.reader.ReaderError, text: str) -> yaml.YAMLError:
    """Return the same error with line and column, as PyYAML's other errors have them."""
    before = text[: error.position]
    line, column = before.count("\n"), error.position - before.rfind("\n") - 1
    mark = yaml.Mark("", error.position, line, column, None, 0)
    problem = f"the character U+{ord(text[error.position]):04X} is not allowed"
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _too_many() -> yaml.YAMLError:
    return yaml.YAMLError(f"more than {MAX_VALUES} values, with what the aliases stand for")


class _Loader(yaml.SafeLoader):
    """A loader that makes only plain data, and at most `MAX_VALUES` nodes of them."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (so is the base class's)
        first: [pair for pair in pairs if pair[0] in _KEPT]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Call the base class; raise `yaml.YAMLError` after `MAX_VALUES` nodes."""
        self._nodes += 1
        if self._nodes > MAX_VALUES:
            raise _too_many()
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Call the base class; raise `yaml.YAMLError` for text that its tag does not allow."""
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise yaml.constructor.ConstructorError(
                problem=f"{str(node.value)[:_SHOWN]!r} is no {node.tag.removeprefix(_TAG)}",
                problem_mark=node.start_mark,
            ) from error

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Call the base class, which copies the objects behind ``<<``; then check the size."""
        super().flatten_mapping(node)
        if len(node.value) > MAX_VALUES:
            raise _too_many()

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        r"""Return the text, a `Plain` if it has no quotes.

        JSON writes some characters as two escapes, such as ``\ud83d\ude00``; join them to one.
        """
        text = str(self.construct_scalar(node))
        if not text.isascii():
            try:
                text = text.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                raise yaml.constructor.ConstructorError(
                    problem="half a character", problem_mark=node.start_mark
                ) from None
        return Plain(text) if node.style is None else text


_Loader.add_constructor(f"{_TAG}str", _Loader.construct_yaml_str)


class _StrictLoader(_Loader):
    """A loader that refuses an object with the same key twice, or with a key that is no text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Raise `yaml.YAMLError` for a key of these kinds, else call the base class."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag in {f"{_TAG}null", f"{_TAG}binary"}:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key_node.value!r} is no text; put it in quotes",
                    problem_mark=key_node.start_mark,
                )
            key = (key_node.tag, str(key_node.value))
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key_node.value!r} stands twice in one object",
                    problem_mark=key_node.start_mark,
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _size(value: Any, known: dict[int, int | None]) -> int:
    """Return the number of values in `value`, itself included.

    `known` holds the size of each list and object by its id, so that each is walked only once.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) in known:
        size = known[id(value)]
        if size is None:
            raise RecursionError("an alias stands within what it stands for")
        return size
    known[id(value)] = None
    items = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    size = known[id(value)] = 1 + sum(_size(item, known) for item in items)
    return size


def readable(document: Any) -> str:
    """Return YAML for people: with the lines of a text as lines, and without references."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=math.inf)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Return True for all data."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
