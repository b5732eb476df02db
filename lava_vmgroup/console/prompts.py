# SPDX-License-Identifier: MIT
"""Prompts as patterns for `Console.expect`: text at which a console waits for somebody.

A pattern of a lab or a job is looked for anywhere (`Anywhere`), as LAVA v1 does.  A
prompt that is known only by its looks must be the unfinished last line (`LastLine`), and the
console must then stay quiet (`is_quiet`).  Each sees the text as a terminal would show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.console.console import Console, Match
from lava_vmgroup.console.escapes import last_line, plain

_LINE = re.compile(r"[^\n]*")
_NOTHING = re.compile("")
_SOMETHING = re.compile(r".+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Anywhere:
    """A regular expression for any line, coloured or not."""

    pattern: str

    def search(self, text: str, start: int = 0) -> Any:
        """The match in `text`, or the whole line where only its plain text fits."""
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
    """A test for the unfinished line at the end, which is left to be read again."""

    fits: Callable[[str], bool]
    pattern: str = "the last line"
    """The name that pexpect gives it in messages."""

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """An empty match where that line begins."""
        begin = max(text.rfind("\n") + 1, start)
        if begin == len(text):
            return None
        return _NOTHING.match(text, begin) if self.fits(last_line(text)) else None


@dataclass(frozen=True, slots=True)
class _Changed:
    """More than a line, or another one."""

    line: str
    pattern: str = "another line"

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """An empty match at the beginning."""
        same = "\n" not in text and last_line(text).rstrip() == self.line
        return None if same or not text else _NOTHING.match(text, start)


def line_of(match: Match) -> str:
    """The line that a `LastLine` has found."""
    return last_line(match.found.string).rstrip()


def is_quiet(console: Console, match: Match, seconds: float, deadline: Deadline) -> bool:
    """Return whether the line that a `LastLine` has found stays unchanged for `seconds`."""
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
    """Take a line that was found away, so that it is found once only."""
    console.expect([_SOMETHING], deadline)
