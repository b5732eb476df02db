# SPDX-License-Identifier: MIT
"""Prompts as patterns for `Console.expect`.

A pattern of a lab or a job may match anywhere (`Anywhere`), as in LAVA v1.  A prompt that is known
only by its looks must be the unfinished last line (`LastLine`), and the console must then stay
quiet (`is_quiet`).  Both see the text as a terminal would show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.escapes import last_line, plain
from lava_vmgroup.console.events import Match

_LINE = re.compile(r"[^\n]*")
_NOTHING = re.compile("")
_SOMETHING = re.compile(r".+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Anywhere:
    """A regular expression for any text, with or without escape sequences in it."""

    pattern: str

    def search(self, text: str, start: int = 0) -> Any:
        """Return the match; if a line fits only without its escapes, return the whole line."""
        pattern = UserPattern(self.pattern)
        if (found := pattern.search(text, start)) is not None:
            return found
        while start < len(text):
            line = _LINE.match(text, start)
            assert line is not None, "an empty line is one, too"
            if "\x1b" in line[0] and pattern.search(plain(line[0])) is not None:
                return line
            start = line.end() + 1
        return None


@dataclass(frozen=True, slots=True)
class LastLine:
    """A test for the unfinished last line; the match is empty, so the line is read again."""

    fits: Callable[[str], bool]
    pattern: str = "the last line"
    """The name of the test in pexpect's messages."""

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """Return an empty match at the beginning of that line, None if the test fails."""
        begin = max(text.rfind("\n") + 1, start)
        if begin == len(text):
            return None
        return _NOTHING.match(text, begin) if self.fits(last_line(text)) else None


@dataclass(frozen=True, slots=True)
class _Changed:
    """A test for text other than the single line `line`."""

    line: str
    pattern: str = "another line"

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """Return an empty match at `start`, None if the text is only that line."""
        same = "\n" not in text and last_line(text).rstrip() == self.line
        return None if same or not text else _NOTHING.match(text, start)


def line_of(match: Match) -> str:
    """Return the line that a `LastLine` has found."""
    return last_line(match.found.string).rstrip()


def is_quiet(console: Console, match: Match, seconds: float, deadline: Deadline) -> bool:
    """Watch the line that a `LastLine` has found; return whether it stays for `seconds`."""
    limit = deadline.sub("the console to be quiet", seconds)
    changed: Any = _Changed(line_of(match))
    try:
        console.expect([changed], limit)
    except DeadlineExpired:
        if deadline.is_over:
            raise
        return True
    return False


def swallow(console: Console, deadline: Deadline) -> None:
    """Consume a line that a `LastLine` has found, so that it is found only once."""
    console.expect([_SOMETHING], deadline)
