# SPDX-License-Identifier: MIT
"""Text as a terminal would show it: without colours, titles and questions to the terminal.

The forms of escape sequences are those of ECMA-48, section 5, with the bell as a second end of
titles (xterm).
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b(?:"
    r"\[[0-?]{0,64}[ -/]{0,4}[@-~]"  # CSI: colours, the cursor, bracketed paste
    r"|[\]PX^_][^\x07\x1b\r\n]{0,1000}(?:\x07|\x1b\\)"  # OSC, DCS, PM, APC, SOS: titles and marks
    r"|[ -/]{1,4}[0-~]"  # character sets
    r"|[0-OQ-WYZ\\`-~]"  # single ones, such as those that keep the cursor's place
    r")"
)
_UNFINISHED = re.compile(r"\x1b[\]PX^_][^\x07\x1b\r\n]{0,1000}")
_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BACKSPACE = re.compile(r"[^\x08\n]\x08")


def without_escapes(text: str) -> str:
    """Return `text` without whole escape sequences."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def plain(text: str) -> str:
    """Return `text` without escape sequences and control characters; tabs and line ends stay.

    A title without an end goes up to the end of its line.  A backspace removes the character before
    it; a carriage return stays.
    """
    if "\x1b" in text:
        text = _UNFINISHED.sub("", without_escapes(text))
    while "\x08" in text and (shorter := _BACKSPACE.sub("", text)) != text:
        text = shorter
    return _INVISIBLE.sub("", text)


def last_line(text: str) -> str:
    """Return the unfinished line at the end of `text`, as a terminal would show it."""
    line = plain(text.rpartition("\n")[2])
    # A carriage return begins the line anew, as zsh does before its prompt.
    return line.rstrip("\r").rpartition("\r")[2]
