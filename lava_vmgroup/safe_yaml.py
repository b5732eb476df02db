# SPDX-License-Identifier: MIT
"""YAML from people who need not be trusted: plain data of a limited size, no key twice.

An alias costs nothing in the file, however much it stands for: a few lines of aliases to aliases
stand for more than any memory holds as soon as someone looks at every value.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_VALUES = 100_000
"""Keys and values in one document, what aliases stand for counted each time."""


def load(text: str) -> Any:
    """The one document that `text` holds.

    Raises `yaml.YAMLError`, ValueError for values such as the 13th month, and RecursionError for
    what is nested too deeply or into itself.
    """
    document = yaml.load(text, _Loader)  # noqa: S506 (it is a SafeLoader)
    if _size(document, {}) > MAX_VALUES:
        raise yaml.YAMLError(f"more than {MAX_VALUES} values, with what the aliases stand for")
    return document


class _Loader(yaml.SafeLoader):
    """Makes no objects of Python, and sees to it that no key stands twice."""

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
