# SPDX-License-Identifier: MIT
"""The frame around a command that is typed at `Shell`: its line, its marks and its prompt.

`Progress` reads from what the console shows how far the command has come; it types nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.console.console import Match
from lava_vmgroup.console.escapes import without_escapes

MAX_LINE = 4095
"""Bytes of a line that a terminal takes; it drops the rest (N_TTY_BUF_SIZE of Linux)."""

PROMPT = re.compile(r"lava-test (\d+)\.(\d+)\.(\d+) \[rc=(\d{1,3})\]# ")
# Each number has a sign after it: where the kernel begins a line within it, it is no other number.
MARK = re.compile(r"lava-(?:begin|end) (\d+)(?: (\d{1,3}))?;\r*\n")

_PARTS = ("-test ", " [rc=")
_NEWEST = 4000
"""Characters of output in which torn marks are looked for."""
_PIECE = 6
"""Characters by which torn text is recognised; a kernel's lines seldom tear it more often."""


def typed_length(command: str) -> int:
    """Return how many bytes of a line the terminal gets for a command; see `MAX_LINE`."""
    return len(framed(command, 999_999, 255).encode())


@dataclass(slots=True)
class Progress:
    """The progress of the command with a number, as read from the console."""

    number: int
    text: str = ""
    """Unread output of the command; text from before its begin does not belong to it."""
    has_begun: bool = False
    asked: int = 0
    was_never_read: bool = False
    """True if the newest question, typed after the command, was answered before it began."""
    status: int = 0
    verdict: int | None = None
    """The status, or None for a status of 0 of a command that has not ended."""

    def take(self, match: Match) -> bool:
        """Take a mark or a prompt; return whether it is the end of this command."""
        self.text += match.before
        number, *others = (int(word) for word in match.found.groups() if word is not None)
        if match.index == 0:
            if number == self.number and not others:
                self.has_begun, self.text = True, ""
            return number == self.number and self._end(others, ended=True)
        answered, ended, status = others
        if number == self.number:
            return self._end([status], ended=ended == number)
        is_answer = self.asked != 0 and answered == self.asked
        self.was_never_read = is_answer and not self._begins(self.text)
        return False

    def allows_question(self, unread: str) -> bool:
        """Return whether no command is running that could read the question."""
        newest = (self.text + unread)[-_NEWEST:]
        if not self._begins(newest):
            return True
        ends = _pieces(f"lava-end {self.number} ") | _pieces(f" {self.number}.")
        only_ends = ends - _pieces(f"lava-begin {self.number};")
        return bool(only_ends & _pieces(newest)) or any(part in newest for part in _PARTS)

    def _begins(self, text: str) -> bool:
        """Return whether the command has begun; the kernel may have torn the mark of it."""
        self.has_begun = self.has_begun or bool(_BEGIN & _pieces(text[-_NEWEST:]))
        return self.has_begun

    def _end(self, statuses: Sequence[int], *, ended: bool) -> bool:
        for status in statuses:
            self.status = status
            self.verdict = status if ended or status else None
        return bool(statuses)


def framed(command: str, number: int, status: int) -> str:
    """Return a line that runs `command` under a number; it finds ``$?`` as it was before."""
    return f'lava_c={shlex.quote(command)};lava_run {number} {status};\\command eval "$lava_t"'


def output_of(text: str) -> str:
    """Return text of the console as the command wrote it, without escapes."""
    return without_escapes(re.sub(r"\r+\n", "\n", text)).strip("\n")


def _pieces(text: str) -> set[str]:
    """Return all the pieces of `text` that are too long to be in other text by chance."""
    return {text[at : at + _PIECE] for at in range(len(text) - _PIECE + 1)}


_BEGIN = _pieces("lava-begin ")
