# SPDX-License-Identifier: MIT
"""A group in which every member waits, as the coordinator reports it to the waiting members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Standstill:
    """A group in which every member that can still act waits for another one."""

    number: int
    """Number in the group, from 1; it grows when the lines or `in_vain` change."""
    lines: Sequence[str]
    """A line for each wait: the members that wait, their call, and the members it needs."""
    in_vain: bool
    """True if one of the waits can never end: a member that it needs has left, was skipped, or has
    no tests any more.  The group is at its end if its tests also run nothing in the background."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object to send."""
        return {"number": self.number, "lines": list(self.lines), "in_vain": self.in_vain}

    @classmethod
    def parse(cls, value: Any) -> Standstill:
        """Return the standstill that a coordinator sent.  Raises `ValueError` if it is none."""
        fields = value if isinstance(value, dict) else {}
        number, in_vain = fields.get("number"), fields.get("in_vain")
        if type(number) is not int or not isinstance(in_vain, bool):
            raise ValueError("a standstill has a number, and is in vain or not")
        return cls(number=number, lines=parse_lines(fields.get("lines")), in_vain=in_vain)


def parse_lines(value: Any) -> tuple[str, ...]:
    """Return the lines that a coordinator sent.  Raises `ValueError` if they are not texts."""
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValueError("who waits for whom is a list of texts")
    return tuple(value)
