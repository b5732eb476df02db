# SPDX-License-Identifier: MIT
"""Users' regular expressions, which are tried on every line of a console.

A repeated group that itself holds a repetition, such as ``(a+)*``, can take exponential time on
one line, so it is refused beforehand.  What else could take for ever, such as ``(a|a)*`` or
``.*.*.*.*``, is only known when it does: a match has a limited time.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import regex

from lava_vmgroup.base.errors import JobError

MATCH_S = 5.0
"""Processor time for one match, which takes microseconds as a rule."""

_FLAGS = re.compile(r"(?<!\\)\(\?[aimsux]+\)")
"""Flags of the whole expression, which Python takes at its beginning only, and LAVA v1 anywhere."""

_NAME_GROUP, _RESULT_GROUP = "test_case_id", "result"

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
    """A user's regular expression; what raises `JobError` when a match takes too long."""

    pattern: str
    flags: int = 0

    def match(self, text: str) -> regex.Match[str] | None:
        """The match at the beginning of `text`, if there is one."""
        try:
            return self._compiled.match(text, timeout=MATCH_S)
        except TimeoutError:
            raise self._too_slow() from None

    def search(self, text: str, start: int = 0) -> regex.Match[str] | None:
        """The first match in `text`, if there is one."""
        try:
            return self._compiled.search(text, start, timeout=MATCH_S)
        except TimeoutError:
            raise self._too_slow() from None

    @property
    def _compiled(self) -> regex.Pattern[str]:
        try:
            return _compiled(self.pattern, self.flags)
        except regex.error as error:
            raise JobError(f"{self.pattern!r} is no regular expression: {error}") from error

    def _too_slow(self) -> JobError:
        return JobError(
            f"the regular expression {self.pattern[:200]!r} takes too long on a text of the "
            f"console: more than {MATCH_S:g} s",
            hint="write it so that each text can be matched in one way only",
        )


@lru_cache
def _compiled(pattern: str, flags: int) -> regex.Pattern[str]:
    with _quietly():
        return regex.compile(_flags_first(pattern), flags)


def _flags_first(text: str) -> str:
    """The expression with its flags where today's Python takes them."""
    try:
        re.compile(text)
    except re.error as error:
        if "global flags" in str(error):
            return "".join(_FLAGS.findall(text)) + _FLAGS.sub("", text)
    return text


@contextmanager
def _quietly() -> Iterator[None]:
    """Hide Python's warnings about an expression from its user, who writes for LAVA."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pattern_problem(text: str, *, without_result: bool = False) -> str | None:
    """Return the reason why `text` is no pattern for results, or None.

    A pattern `without_result` finds measurements, whose verdict nobody knows.
    """
    problem = expression_problem(text)
    if problem is not None:
        return problem
    groups = _compiled(text, 0).groupindex
    required = [_NAME_GROUP] if without_result else [_NAME_GROUP, _RESULT_GROUP]
    missing = [name for name in required if name not in groups]
    if missing:
        return "expected the groups " + " and ".join(f"(?P<{name}>…)" for name in missing)
    return None


def expression_problem(text: str) -> str | None:
    """What keeps `text` from being a regular expression that ends in time, or None."""
    try:
        with _quietly():
            text = _flags_first(text)
            re.compile(text)
            regex.compile(text)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
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
