# SPDX-License-Identifier: MIT
"""Data that a line of v1's form cannot carry over a console: encoded, in parts, with a check each.

1. The data are lines of text.
2. Percent-encoding replaces all bytes that have a meaning to a terminal, a kernel or a shell.
3. A part is ``NAME NUMBER/COUNT CHECK TEXT``.  NAME is the same for all parts of the same data.
   CHECK is the Adler-32 of all the rest.  TEXT is a piece of the encoded data; it never ends within
   an escape.

The shell's side is ``scripts/lava-parts.sh``.
"""

from __future__ import annotations

import re
import string
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from lava_vmgroup.base.errors import MultiNodeError

MAX_DATA = 1 << 20
"""Bytes of one message, or of the reply to one wait."""

PART_LENGTH = 900
"""Characters of a part's text.  The whole line is then short enough for every terminal."""

MAX_PARTS = 3 * MAX_DATA // (PART_LENGTH - 2) + 1

_SAFE = frozenset(f"{string.ascii_letters}{string.digits}_.,:/=@+-".encode())
_TOKENS = [chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in range(256)]
_PART = re.compile(
    rf"(\w{{1,20}}) (\d{{1,5}})/(\d{{1,5}}) ([0-9a-f]{{8}}) ([!-~]{{1,{PART_LENGTH}}})", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that came undamaged."""

    name: str
    number: int
    """From 1 to `count`."""
    count: int
    text: str


def encode(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the texts of the parts that carry `lines`.

    Raises `MultiNodeError` if a line holds a line end or NUL, or has no UTF-8, or if there are more
    than `MAX_DATA` bytes.
    """
    data = bytearray()
    for line in lines:
        if "\n" in line or "\0" in line:
            raise MultiNodeError(f"a line cannot hold a line end or NUL: {line[:60]!r}")
        try:
            data += line.encode(errors="surrogateescape") + b"\n"
        except UnicodeEncodeError as error:
            raise MultiNodeError(f"there is no UTF-8 for {line[:60]!r}") from error
        if len(data) > MAX_DATA:
            raise MultiNodeError(
                f"the data have more than {MAX_DATA} bytes", hint="send less data with the message"
            )
    return tuple(_cut("".join(_TOKENS[byte] for byte in data)))


def decode(texts: Sequence[str]) -> list[str]:
    """Return the lines that the texts of all parts carry.

    Bytes that are not UTF-8 become surrogates, which `encode` turns into the same bytes.
    """
    data = unquote_to_bytes("".join(texts)).decode(errors="surrogateescape")
    return data.removesuffix("\n").split("\n")


def part_words(name: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the parts with these texts, each as the words of a marker."""
    places = (f"{name} {number}/{len(texts)}" for number in range(1, len(texts) + 1))
    return tuple(
        f"{place} {_check(place, text)} {text}" for place, text in zip(places, texts, strict=True)
    )


def parse_part(words: str) -> Part | None:
    """Return the part in a marker's words; None if it is damaged."""
    match = _PART.fullmatch(words)
    if match is None:
        return None
    name, number, count, check, text = match.groups()
    if check != _check(f"{name} {number}/{count}", text):
        return None
    if not 1 <= int(number) <= int(count) <= MAX_PARTS:
        return None
    return Part(name=name, number=int(number), count=int(count), text=text)


def _check(place: str, text: str) -> str:
    return f"{zlib.adler32(f'{place} {text}'.encode('ascii')):08x}"


def _cut(text: str) -> Iterable[str]:
    start = 0
    while start < len(text):
        end = start + PART_LENGTH
        escape = text.rfind("%", end - 2, end)
        end = escape if escape >= 0 else end
        yield text[start:end]
        start = end
