# SPDX-License-Identifier: MIT
"""Whether a user's regular expression may be tried on every line of a console.

A repeated group that itself holds a repetition, such as ``(a+)*``, can take exponential time on
one line, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

REQUIRED_GROUPS = ("test_case_id", "result")

_TOKEN = re.compile(
    r"""
    (?P<atom> \\. | \[\^?\]?(?:\\.|[^\]\\])*\] )
    | (?P<comment> \(\?\#[^)]*\) )
    | (?P<open> \( (?: \?(?:P<\w+>|P=\w+|<?[=!]|[>:]|\(\w+\)|[\w-]+:?) )? )
    | (?P<close> \) )
    | (?P<repeat> [*+] | \{\d*,\d*\} )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def pattern_problem(text: str) -> str | None:
    """What keeps `text` from being a pattern for results, or None."""
    problem = expression_problem(text)
    if problem is not None:
        return problem
    pattern = re.compile(text)
    missing = [name for name in REQUIRED_GROUPS if name not in pattern.groupindex]
    if missing:
        return "expected the groups " + " and ".join(f"(?P<{name}>…)" for name in missing)
    return None


def expression_problem(text: str) -> str | None:
    """What keeps `text` from being a regular expression that ends in time, or None."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        return f"expected a regular expression: {error}"
    if has_nested_quantifiers(text):
        return (
            "a repeated group holds a repetition, as in (a+)*: it could take for ever on one "
            "line; expected a pattern without nested quantifiers"
        )
    return None


def has_nested_quantifiers(text: str) -> bool:
    """Whether a group of this valid regular expression repeats and holds a repetition.

    ``?`` and ``{3}`` are no repetitions here: they add no choice that grows with the line.
    """
    open_groups = [False]  # for each group around the token: does it hold a repetition?
    closed_holds_repetition = False
    for kind in _tokens(text):
        if kind == "open":
            open_groups.append(False)
        elif kind == "close":
            closed_holds_repetition = open_groups.pop()
            open_groups[-1] |= closed_holds_repetition
            continue
        elif kind == "repeat":
            if closed_holds_repetition:
                return True
            open_groups[-1] = True
        closed_holds_repetition = False
    return False


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is not None and kind != "comment":
            yield kind
