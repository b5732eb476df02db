# SPDX-License-Identifier: MIT
"""The quotes around each character of a piece of shell code."""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNCLEAR = re.compile(r"\$\(|`|<<|\$'")
"""Constructs with quotes of their own: within them the quotes that `quotes` returns are a guess."""


def quotes(code: str) -> Iterator[str]:
    r"""Yield the quote around each character: ``'``, ``"`` or "" for none.

    A quote itself counts as outside; comments count as having none.
    """
    around, escaped, comment, before = "", False, False, "\n"
    for character in code:
        if comment:
            comment = character != "\n"
        elif escaped:
            escaped = False
        elif character == "\\" and around != "'":
            escaped = True
        elif character == around:
            around = ""
        elif not around and character in "'\"":
            yield ""
            around, before = character, character
            continue
        elif not around and character == "#" and before in " \t\n;&|(":
            comment = True
        yield around
        before = character


def leaves_quote_open(code: str) -> bool:
    """Return True if the code surely ends within a quote, which then reaches into the next line."""
    return not _UNCLEAR.search(code) and bool(list(quotes(f"{code}\n"))[-1])
