# SPDX-License-Identifier: MIT
"""YAML from people who need not be trusted: plain data of a limited size, no key twice.

An alias costs nothing in the file, however much it stands for: a few lines of aliases to aliases
stand for more than any memory holds as soon as someone looks at every value.

YAML makes numbers, dates and truth values of scalars without quotes, and forgets their text:
``1.10`` becomes 1.1, ``yes`` True, ``010`` 8.  Here every scalar is its author's text, and
`Plain.value` is YAML's value of one without quotes.  Only ``null``, ``~`` and nothing are None.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_VALUES = 100_000
"""Keys and values in one document, what aliases stand for counted each time."""

MAX_TEXT = 16 << 20
"""Characters of one document: a minute's work for the parser."""

_MAX_BITS = 1024
"""Of a whole number, which no text is made of when it has some thousand digits."""

_DECIMAL = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
"""A number of JSON that YAML's first version takes for text."""
_AMBIGUOUS = re.compile(r"[-+]?0[0-9_]|.*:")
"""Numbers of base 8 or 60 to some readers, and nothing of the kind to others."""

_TAG = "tag:yaml.org,2002:"
_KEPT = frozenset({f"{_TAG}null", f"{_TAG}merge"})
_VALUES = frozenset({f"{_TAG}{name}" for name in ("bool", "int", "float")})


class Plain(str):
    """The text of a scalar without quotes."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """The number or truth value that it is to every reader, or else the text.

        Raises ValueError for a number of too many digits.
        """
        if _DECIMAL.fullmatch(self):
            return float(self)
        if _AMBIGUOUS.match(self):
            return str(self)
        loader = yaml.SafeLoader("")
        tag = loader.resolve(yaml.ScalarNode, str(self), (True, False))  # type: ignore[no-untyped-call]
        if tag not in _VALUES:
            return str(self)
        value = loader.construct_object(yaml.ScalarNode(tag, str(self)))
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise ValueError("a number has too many digits")
        return value


def load(text: str, *, repeated_keys: bool = False) -> Any:
    """The one document that `text` holds; with `repeated_keys` the last of equal ones counts.

    Raises `yaml.YAMLError`, ValueError for a tag whose value is wrong, and RecursionError for data
    nested too deeply or into themselves.
    """
    if len(text) > MAX_TEXT:
        raise yaml.YAMLError(f"more than {MAX_TEXT} characters")
    try:
        document = yaml.load(text, _Loader if repeated_keys else _StrictLoader)  # noqa: S506
    except yaml.reader.ReaderError as error:
        raise _placed(error, text) from error
    if _size(document, {}) > MAX_VALUES:
        raise _too_many()
    return document


def _placed(error: yaml.reader.ReaderError, text: str) -> yaml.YAMLError:
    """The same error with the place in the words of the others."""
    before = text[: error.position]
    line, column = before.count("\n"), error.position - before.rfind("\n") - 1
    mark = yaml.Mark("", error.position, line, column, None, 0)
    problem = f"the character U+{ord(text[error.position]):04X} is not allowed"
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _too_many() -> yaml.YAMLError:
    return yaml.YAMLError(f"more than {MAX_VALUES} values, with what the aliases stand for")


class _Loader(yaml.SafeLoader):
    """Makes no objects of Python, and not too many others."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (so is the base class's)
        first: [pair for pair in pairs if pair[0] in _KEPT]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As the base class, while there is room."""
        self._nodes += 1
        if self._nodes > MAX_VALUES:
            raise _too_many()
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """As the base class, which copies what ``<<`` stands for."""
        super().flatten_mapping(node)
        if len(node.value) > MAX_VALUES:
            raise _too_many()

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        """The text; in quotes, JSON's two escapes for one character are put together."""
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
    """Sees to it that no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the base class, with a look at the keys before."""
        seen = set()
        for key_node, _ in node.value:
            key = (key_node.tag, str(key_node.value))
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key_node.value!r} stands twice in one object",
                    problem_mark=key_node.start_mark,
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _size(value: Any, known: dict[int, int | None]) -> int:
    """How many values there are below `value`; `known` remembers each list and object."""
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
