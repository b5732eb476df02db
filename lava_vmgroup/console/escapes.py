# SPDX-License-Identifier: MIT
"""Escape sequences of terminals, which colour, title and mark text and are no part of it.

The forms are those of ECMA-48, section 5, with the bell as a second end of titles (xterm).
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b(?:"
    r"\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)"  # titles and marks (OSC)
    r"|[PX^_][^\x1b]{0,4096}\x1b\\"  # other strings
    r"|\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # colours and the cursor (CSI)
    r"|[ -/]{1,8}[0-~]"  # character sets
    r"|[0-OQ-WYZ\\`-~]"
    r")"
)


def without_escapes(text: str) -> str:
    """Return `text` as it reads on a terminal; an unfinished sequence stays."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text
