# SPDX-License-Identifier: MIT
"""The quotes around each character of a piece of shell code."""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNCLEAR = re.compile(r"\$\(|`|<<|\$'")
"""Constructs with quotes of their own: within them the quotes that `quotes` returns are a guess."""

_OPERATOR_AT_END = re.compile(r"(?:^|[^\\|&])(?:\\\\)*(\|\|?|\|&|&&)\s*$")


def quotes(code: str) -> Iterator[str]:
    r"""Yield what is around each character: the quote ``'`` or ``"``, ``#`` for a comment, or "".

    A quote itself counts as outside.
    """
    around, escaped, comment, before = "", False, False, "\n"
    for character in code:
        if comment and character != "\n":
            yield "#"
            continue
        comment = False
        if escaped:
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
            yield "#"
            continue
        yield around
        before = character


def leaves_quote_open(code: str) -> bool:
    """Return True if the code surely ends within a quote, which then reaches into the next line."""
    return not _UNCLEAR.search(code) and bool(list(quotes(f"{code}\n"))[-1])


def bare(code: str) -> str:
    """Return the code with a blank for each character of a comment or within quotes."""
    return "".join(
        " " if around else character for character, around in zip(code, quotes(code), strict=True)
    )


def needs_another_command(code: str) -> str | None:
    """Return the operator at the end of the code, such as ``|``, to which a command is missing."""
    found = _OPERATOR_AT_END.search(bare(code))
    return None if found is None else found[1]
