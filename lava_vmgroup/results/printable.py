# SPDX-License-Identifier: MIT
"""Text of consoles and tests, made harmless for a terminal and for XML.

Such text may hold:

- terminal escapes, which would recolour, retitle or overwrite the reader's terminal,
- characters that turn the reading direction around,
- characters that XML 1.0 does not allow.
"""

from __future__ import annotations

import re

from lava_vmgroup.base.text import legible

_ESCAPE_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*+[ -/]*+[@-~]"  # CSI: colours, cursor movements
    r"|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b[ -/]*+[0-~]"  # everything shorter
)
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but for tab and newline
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line ends and directions of Unicode
    "\ufffe\uffff]"  # not characters
)


def printable(text: str) -> str:
    """Return `text` without escape sequences, and with U+FFFD for each unprintable character.

    Line ends become newlines, and bytes that are no text become backslash escapes.  The result
    holds only characters that XML 1.0 allows.
    """
    text = _ESCAPE_SEQUENCE.sub("", legible(text).replace("\r\n", "\n"))
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r", "\n"))


def one_line(text: str) -> str:
    """Return `printable` text in one line, as for a table: runs of white space become a space."""
    return " ".join(printable(text).split())
