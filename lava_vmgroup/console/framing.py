# SPDX-License-Identifier: MIT
"""The frame around a command that is typed at `Shell`: its line, its marks and its prompt.

`CommandProgress` follows a command by the text of the console; it types nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lava_vmgroup.console.escapes import without_escapes

if TYPE_CHECKING:
    from lava_vmgroup.console.events import Match

MAX_LINE = 4095
"""Bytes of a line that a terminal accepts; it drops the rest (N_TTY_BUF_SIZE of Linux)."""

PROMPT = re.compile(r"lava-test (\d+)\.(\d+)\.(\d+) \[rc=(\d{1,3})\]# ")
# A sign follows each number.  If a kernel message tears the number, its first digits are not taken
# for another number.
MARK = re.compile(r"lava-(?:begin|end) (\d+)(?: (\d{1,3}))?;\r*\n")

_PARTS = ("-test ", " [rc=")
_NEWEST = 4000
"""Characters of output in which torn marks are looked for."""
_PIECE = 6
"""Length of the pieces by which torn text is recognised; messages seldom leave shorter ones."""


def typed_length(command: str) -> int:
    """Return the number of bytes of the line that is typed for a command; see `MAX_LINE`."""
    return len(framed(command, 999_999, 255).encode())


@dataclass(slots=True)
class CommandProgress:
    """The progress of the command `number`, as read from the console."""

    number: int
    text: str = ""
    """Unread output of the command; text from before its begin does not belong to it."""
    has_begun: bool = False
    asked: int = 0
    """The number of the newest question; 0 if none was typed."""
    was_never_read: bool = False
    """True if the newest question, typed after the command, was answered before its begin."""
    status: int = 0
    """The exit status in the last mark or prompt of this command."""
    verdict: int | None = None
    """The exit status; None if it is 0 but the command has not ended."""

    def take(self, match: Match) -> bool:
        """Read a mark or a prompt; return whether it is the end of this command."""
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
        """Return whether a question may be typed: no running command would read it as input."""
        newest = (self.text + unread)[-_NEWEST:]
        if not self._begins(newest):
            return True
        ends = _pieces(f"lava-end {self.number} ") | _pieces(f" {self.number}.")
        only_ends = ends - _pieces(f"lava-begin {self.number};")
        return bool(only_ends & _pieces(newest)) or any(part in newest for part in _PARTS)

    def _begins(self, text: str) -> bool:
        """Return whether the command has begun; a kernel message may have torn its begin mark."""
        self.has_begun = self.has_begun or bool(_BEGIN & _pieces(text[-_NEWEST:]))
        return self.has_begun

    def _end(self, statuses: Sequence[int], *, ended: bool) -> bool:
        for status in statuses:
            self.status = status
            self.verdict = status if ended or status else None
        return bool(statuses)


def framed(command: str, number: int, status: int) -> str:
    """Return the line that runs `command` under `number`, with ``$?`` set to `status`."""
    return f'lava_c={shlex.quote(command)};lava_run {number} {status};\\command eval "$lava_t"'


def output_of(text: str) -> str:
    """Return text of the console as the command wrote it, without escapes."""
    return without_escapes(re.sub(r"\r+\n", "\n", text)).strip("\n")


def _pieces(text: str) -> set[str]:
    """Return all pieces of `text` that are long enough not to be in other text by chance."""
    return {text[at : at + _PIECE] for at in range(len(text) - _PIECE + 1)}


_BEGIN = _pieces("lava-begin ")
