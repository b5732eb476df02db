# SPDX-License-Identifier: MIT
"""Users' regular expressions, which are tried on every line of a console.

A repeated group that itself holds a repetition, such as ``(a+)*``, can take exponential time on
one line, so it is refused before the job runs.  Other slow expressions, such as ``(a|a)*`` or
``.*.*.*.*``, show only when they are tried.  So every match has a time limit.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lava_vmgroup.base.errors import JobError

if TYPE_CHECKING:
    import regex

MATCH_S = 5.0
"""Seconds of processor time for one match, which usually takes microseconds."""

_FLAGS = re.compile(r"(?<!\\)\(\?[aimsux]+\)")
"""Flags of the whole expression: Python allows them at its beginning only, LAVA v1 anywhere."""

_NAME_GROUP, _RESULT_GROUP = "test_case_id", "result"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

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


@dataclass(frozen=True, slots=True)
class UserPattern:
    """A user's regular expression, with a time limit for each match.

    `match` and `search` raise `JobError` if a match takes more than `MATCH_S`, or if the pattern is
    no regular expression.
    """

    pattern: str
    flags: int = 0

    def match(self, text: str) -> regex.Match[str] | None:
        """Return the match at the beginning of `text`, or None."""
        try:
            return self._compiled.match(text, timeout=MATCH_S)
        except TimeoutError:
            raise self._too_slow() from None

    def search(self, text: str, start: int = 0) -> regex.Match[str] | None:
        """Return the first match in `text` from `start` on, or None."""
        try:
            return self._compiled.search(text, start, timeout=MATCH_S)
        except TimeoutError:
            raise self._too_slow() from None

    @property
    def _compiled(self) -> regex.Pattern[str]:
        try:
            return _compiled(self.pattern, self.flags)
        except re.error as error:
            raise JobError(f"{self.pattern!r} is no regular expression: {error}") from error

    def _too_slow(self) -> JobError:
        return JobError(
            f"the regular expression {self.pattern[:200]!r} takes too long on a text of the "
            f"console: more than {MATCH_S:g} s",
            hint="write it so that each text can be matched in one way only",
        )


@lru_cache
def _compiled(pattern: str, flags: int) -> regex.Pattern[str]:
    import regex  # most jobs have no expression, and need not wait for this

    try:
        with _quietly():
            return regex.compile(_flags_first(pattern), flags)
    except regex.error as error:
        raise re.error(str(error)) from error


def _flags_first(text: str) -> str:
    """Return the expression, with its flags moved to the beginning if Python requires that."""
    try:
        re.compile(text)
    except re.error as error:
        if "global flags" in str(error):
            return "".join(_FLAGS.findall(text)) + _FLAGS.sub("", text)
    return text


@contextmanager
def _quietly() -> Iterator[None]:
    """Hide Python's warnings about an expression; its author writes for LAVA, not for Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pattern_problem(text: str, *, without_result: bool = False) -> str | None:
    """Return the reason why `text` is no pattern for results, or None.

    The pattern must have the groups ``test_case_id`` and ``result``.  With `without_result` it may
    lack the second: then it finds measurements without a verdict.
    """
    problem = expression_problem(text) or _no_line(text)
    if problem is not None:
        return problem
    groups = _compiled(text, 0).groupindex
    required = [_NAME_GROUP] if without_result else [_NAME_GROUP, _RESULT_GROUP]
    missing = [name for name in required if name not in groups]
    if missing:
        return "expected the groups " + " and ".join(f"(?P<{name}>…)" for name in missing)
    return None


def _no_line(text: str) -> str | None:
    """Return the reason why this valid regular expression fits no line of any output, or None."""
    if found := _CONTROL.search(text):
        return (
            f"has the control character {found[0]!r}, which no line holds; within double quotes "
            "YAML makes it of a backslash and a letter: use single quotes"
        )
    if "\n" in text.rstrip("\n") and not _compiled(text, 0).flags & re.VERBOSE:
        return "has several lines, and is tried on one line after the other; write it as one line"
    return None


def expression_problem(text: str) -> str | None:
    """Return the reason why `text` is no regular expression or has nested quantifiers, or None."""
    try:
        with _quietly():
            text = _flags_first(text)
            re.compile(text)
            _compiled(text, 0)
    except (re.error, RecursionError, OverflowError) as error:
        return f"expected a regular expression: {error}"
    if has_nested_quantifiers(text):
        return (
            "a repeated group holds a repetition, as in (a+)*: it could take for ever on one "
            "line; expected a pattern without nested quantifiers"
        )
    return None


def fits_no_text(text: str) -> bool:
    """Return whether this valid regular expression is found where there is no text."""
    return UserPattern(text).search("") is not None


def has_nested_quantifiers(text: str) -> bool:
    """Return True if a group of this valid regular expression repeats and holds a repetition.

    ``?`` and ``{3}`` do not count as repetitions: they add no choice that grows with the line.
    """
    open_groups = [False]  # an item for each group around the token: True if it holds a repetition
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
