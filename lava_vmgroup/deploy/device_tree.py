# SPDX-License-Identifier: MIT
"""Flattened device trees: the names of the machine that a tree describes."""

from __future__ import annotations

import struct

_HEADER = struct.Struct(">4I")
_WORD = struct.Struct(">I")
_PROPERTY = struct.Struct(">II")
_MAGIC = 0xD00DFEED
_BEGIN_NODE, _PROP, _NOP = 1, 3, 4


def compatible(tree: bytes) -> tuple[str, ...]:
    """Return the names of the machine that a device tree is for; () if it cannot be read."""
    try:
        magic, _, at, strings = _HEADER.unpack_from(tree)
        if magic != _MAGIC or _WORD.unpack_from(tree, at)[0] != _BEGIN_NODE:
            return ()
        return _property(tree, at + 8, strings, b"compatible")  # the root's name is empty
    except struct.error:
        return ()


def _property(tree: bytes, at: int, strings: int, wanted: bytes) -> tuple[str, ...]:
    """Read the strings of a property of the node whose content begins at `at`."""
    while (token := _WORD.unpack_from(tree, at)[0]) in (_PROP, _NOP):
        at += _WORD.size
        if token == _NOP:
            continue
        size, name = _PROPERTY.unpack_from(tree, at)
        at += _PROPERTY.size
        value = tree[at : at + size]
        if tree[strings + name :].startswith(wanted + b"\0"):
            return tuple(value.decode(errors="replace").strip("\0").split("\0"))
        at += size + -size % 4
    return ()
