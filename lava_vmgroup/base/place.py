# SPDX-License-Identifier: MIT
"""Places and values of plain data, as messages quote them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

_SHOWN_LENGTH = 60


def place(path: Sequence[Any]) -> str:
    """Return a path into plain data in the notation of messages: ``vm_group.vms[0].count``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = str(part) if str(part).isprintable() else ascii(part)
            text += f".{name}" if text else name
    return text


def shown(value: Any) -> str:
    """Return a value as messages quote it, in ASCII and cut if it is long."""
    text = "nothing" if value is None else ascii(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 3]}..."


def list_of(value: Any, key: str) -> list[Any]:
    """Return the list that `value` has under `key`, or an empty one if there is no list."""
    items = value.get(key) if isinstance(value, dict) else None
    return items if isinstance(items, list) else []


def unknown(name: str, known: Sequence[Any], kind: str) -> str:
    """Return the message for an unknown name, with the nearest and all of the `known` ones."""
    words = [word if word.isprintable() else ascii(word) for word in map(str, known)]
    near = difflib.get_close_matches(name, words, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {shown(name)}; {guess}known: {', '.join(words)}"
