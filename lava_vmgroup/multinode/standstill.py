# SPDX-License-Identifier: MIT
"""A group in which every member waits, as the coordinator reports it to the waiting members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Standstill:
    """Every member whose tests have not ended waits for another one."""

    number: int
    """Counts the standstills of a group, from 1; each has its own lines."""
    lines: Sequence[str]
    """A line for each wait: which members wait, in which call, and for whom."""
    in_vain: bool
    """True if one of the waits can never end: a member that it needs has left or has no tests any
    more.  The group is at its end if its tests run no programs in the background either."""

    def to_json(self) -> dict[str, Any]:
        """The JSON object to send."""
        return {"number": self.number, "lines": list(self.lines), "in_vain": self.in_vain}

    @classmethod
    def parse(cls, value: Any) -> Standstill:
        """Check what a coordinator sent; raises `ValueError`."""
        fields = value if isinstance(value, dict) else {}
        number, in_vain = fields.get("number"), fields.get("in_vain")
        if type(number) is not int or not isinstance(in_vain, bool):
            raise ValueError("a standstill has a number, and is in vain or not")
        return cls(number=number, lines=parse_lines(fields.get("lines")), in_vain=in_vain)


def parse_lines(value: Any) -> tuple[str, ...]:
    """Check lines that a coordinator sent; raises `ValueError`."""
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValueError("who waits for whom is a list of texts")
    return tuple(value)
