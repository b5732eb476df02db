# SPDX-License-Identifier: MIT
"""The frames of the MultiNode protocol: eight hexadecimal digits, then so many bytes of JSON."""

from __future__ import annotations

import json
import string
from typing import Any

from lava_vmgroup.base.errors import InfrastructureError

HEADER_LENGTH = 8
REQUEST_LIMIT = 16 * 1024 * 1024
"""The longest request a coordinator takes, in bytes: a bundle with its attachments."""
REPLY_LIMIT = 256 * 1024 * 1024
"""The longest reply a client takes, in bytes: the bundles of a whole group."""
DEPTH_LIMIT = 32
"""Levels to which JSON may nest; Python decodes values that are too deep to be encoded again."""
VALUE_LIMIT = 1_000_000
"""Values that JSON may have; an empty list takes 30 times the memory of its text."""

_HEX_DIGITS = frozenset(string.hexdigits.encode("ascii"))


class FrameError(InfrastructureError):
    """Received bytes that are not a frame of the protocol, or not a coordinator's answer."""


def encode_frame(value: Any) -> bytes:
    """Return the frame that carries `value` as JSON."""
    text = json.dumps(value).encode("ascii")
    return b"%08X" % len(text) + text


class FrameDecoder:
    """A decoder for the one frame of a connection, received in chunks of any size."""

    def __init__(self, limit: int) -> None:
        """Accept JSON text of up to `limit` bytes."""
        self._limit = limit
        self._received = bytearray()
        self._length: int | None = None
        self._complete = False
        self._value: Any = None

    @property
    def value(self) -> Any:
        """The decoded value; raises `LookupError` before `feed` has returned True."""
        if not self._complete:
            raise LookupError("the frame is not complete yet")
        return self._value

    @property
    def buffered(self) -> int:
        """Number of received bytes that wait for the rest of the frame."""
        return len(self._received)

    @property
    def length(self) -> int:
        """Length of the frame's text in bytes; 0 until the header is complete."""
        return self._length or 0

    def feed(self, chunk: bytes) -> bool:
        """Take received bytes, and return True once the frame is complete.

        Raises `FrameError` for a bad header, a text over a limit, and text that is not JSON.
        """
        if self._complete:
            return True
        self._received += chunk
        if self._length is None:
            self._read_header()
        if self._length is None or len(self._received) < self._length:
            return False
        self._value = _decode_text(bytes(self._received[: self._length]))
        self._complete = True
        self._received.clear()
        return True

    def forget(self) -> None:
        """Drop the decoded value, which may be large."""
        self._value = None

    def _read_header(self) -> None:
        header = bytes(self._received[:HEADER_LENGTH])
        if not _HEX_DIGITS.issuperset(header):
            raise FrameError(f"a frame begins with {HEADER_LENGTH} hex digits, not with {header!r}")
        if len(header) < HEADER_LENGTH:
            return
        length = int(header, 16)
        if length > self._limit:
            raise FrameError(f"a frame of {length} bytes is longer than the limit, {self._limit}")
        self._length = length
        del self._received[:HEADER_LENGTH]


def _decode_text(text: bytes) -> Any:
    if sum(text.count(mark) for mark in b"[{,") > VALUE_LIMIT:
        raise FrameError(f"the JSON of a frame has more than {VALUE_LIMIT} values")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame does not hold JSON: {text[:60]!r}") from error
    if _too_deep(value):
        raise FrameError(f"the JSON of a frame nests deeper than {DEPTH_LIMIT} levels")
    return value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_LIMIT):
        children: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                children += item.values()
            elif isinstance(item, list):
                children += item
        level = children
    return bool(level)
