# SPDX-License-Identifier: MIT
"""Text from bytes that others wrote, and text that every other program can read again.

Python gives a file name that is not UTF-8 with half a character (a surrogate) for each bad byte,
and JSON may hold such halves, too.  Files of results must not hold them, because readers in other
languages, databases and XML refuse them.
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
    r"""Return `text` without surrogates.

    A surrogate that stands for a bad byte becomes a backslash escape, such as ``\xe4``.  Any other
    one becomes U+FFFD.
    """
    return _HALVES.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number - _FIRST_ESCAPED:02x}" if number in _ESCAPED_BYTES else "\ufffd"


def json_text(document: Any, *, indent: int | None = None) -> str:
    """Return `document` as JSON text in ASCII that strict readers take.

    Objects that JSON does not know, and numbers that are not finite, become their text.
    """
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
    """Return the text of a file that people write: UTF-8, or the encoding of its byte order mark.

    Raises `ValueError` with the first bad place and the remedy; the caller puts the file's name
    before its text.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        # utf-8-sig drops a mark only at the beginning; elsewhere it is a character like others.
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
