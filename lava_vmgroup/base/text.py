# SPDX-License-Identifier: MIT
"""Text from bytes that others wrote, and text that every other program can read again.

Names of files that are no UTF-8 come from Python with half a character for each bad byte, and JSON
may hold such halves, too.  No file of results may, because readers of other languages, databases
and XML refuse them.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any

_HALVES = re.compile("[\ud800-\udfff]")
_FIRST_ESCAPED = 0xDC00
_ESCAPED_BYTES = range(0xDC80, 0xDD00)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # The mark of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def legible(text: str) -> str:
    r"""`text` with a backslash escape for each byte that is no text: ``\xe4``.

    U+FFFD stands for half a character that no byte stands behind.
    """
    return _HALVES.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number - _FIRST_ESCAPED:02x}" if number in _ESCAPED_BYTES else "\ufffd"


def json_text(document: Any, *, indent: int | None = None) -> str:
    """`document` as JSON that strict readers take, in ASCII; other objects become their text."""
    return json.dumps(_legible(document), indent=indent, default=lambda value: legible(str(value)))


def _legible(value: Any) -> Any:
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, dict):
        return {
            legible(key) if isinstance(key, str) else key: _legible(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_legible(item) for item in value]
    # JSON has no infinity.
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def decoded(content: bytes) -> str:
    """The text of a file that people write: UTF-8, or the encoding of its byte order mark.

    Raises `ValueError` with the first bad place and what to do; its words follow the file's name.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        # A mark in the midst of a file is a character like others.
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"is not {encoding.upper()} text (byte {error.start}): line {line} has "
            f"{content[error.start]:#04x}; save the file as utf-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"has a NUL character in line {line}; is it whole, and is it text?")
    return text
