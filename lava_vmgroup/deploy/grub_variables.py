# SPDX-License-Identifier: MIT
"""The variables of GRUB's shell, and the words that it makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

from lava_vmgroup.base.errors import JobError

_MAX_FILLED = 1 << 20
"""Characters that a configuration's variables stand for; each assignment may double a value."""

_PIECE = re.compile(
    r"""'(?P<literal>[^']*)' | "(?P<double>(?:\\.|[^"\\])*)" | \\(?P<escaped>.)
    | (?P<variable>\$\{\w+\}|\$\w+) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_IN_DOUBLE_QUOTES = re.compile(r"""\\(?P<escaped>[\\"$])|\$\{(\w+)\}|\$(\w+)""")
_BLANKS = re.compile(r"[ \t\n]+")
_OFTEN_EMPTY = frozenset({"tuned_initrd", "tuned_params", "vt_handoff"})
"""Fedora's and Ubuntu's entries use these; on most systems nothing gives them a value."""


@dataclass(slots=True)
class GrubVariables:
    """The values of variables at one point of GRUB's run.

    Methods with `told` add a warning to it for each value that is not certain.
    """

    values: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)
    """The warnings that come with a variable's value."""
    room: list[int] = field(default_factory=lambda: [_MAX_FILLED])
    """The rest of `_MAX_FILLED`, one for all copies.  Without room, methods raise `JobError`."""

    @classmethod
    def of_grubenv(cls, text: str) -> Self:
        """Return the variables of a ``grubenv``."""
        lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
        return cls({key: value for key, _, value in (line.partition("=") for line in lines)})

    def copy(self) -> GrubVariables:
        """Return the same variables, to be changed apart from these."""
        return GrubVariables(dict(self.values), dict(self.doubts), self.room)

    def assign(self, name: str, word: str, condition: str = "") -> None:
        """Give a variable the value that a word has now; `condition` is one that is unknown."""
        told: list[str] = []
        value = next(iter(self.words(word, told)), "")
        if condition:
            told.append(f"${name} depends on `if {condition}`, which is taken to hold")
        self.values[name], self.doubts[name] = value, told

    def words(self, word: str, told: list[str]) -> list[str]:
        """Return the words that GRUB makes of one: it splits values outside quotes at blanks."""
        made = [""]
        for piece in _PIECE.finditer(word):
            if piece["variable"]:
                first, *more = _BLANKS.split(self._value(piece["variable"].strip("${}"), told))
                made[-1] += first
                made += more
            elif piece["double"] is not None:
                made[-1] += self.filled(piece["double"], told)
            else:
                made[-1] += piece["literal"] or piece["escaped"] or piece["other"] or ""
        return [one for one in made if one]

    def filled(self, text: str, told: list[str]) -> str:
        """Return a text with the values of its variables, as within double quotes."""

        def value(found: re.Match[str]) -> str:
            return found["escaped"] or self._value(found[2] or found[3], told)

        return _IN_DOUBLE_QUOTES.sub(value, text)

    def _value(self, name: str, told: list[str]) -> str:
        known = name in self.values or name in _OFTEN_EMPTY
        unknown = [] if known else [f"${name} has no known value and is left empty"]
        told += [one for one in self.doubts.get(name, unknown) if one not in told]
        value = self.values.get(name, "")
        self.room[0] -= len(value)
        if self.room[0] < 0:
            raise JobError(
                f"the variables of grub.cfg stand for more than {_MAX_FILLED} characters",
                hint="correct the image's boot configuration",
            )
        return value


def is_fallback(name: str, condition: str) -> bool:
    """Return whether a condition holds just as long as a variable is empty."""
    wanted = rf"""(?:\[|test) -z "?\$(?:{name}|\{{{name}\}})"?(?: \])?"""
    return re.fullmatch(wanted, condition) is not None
