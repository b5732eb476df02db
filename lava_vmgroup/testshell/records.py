# SPDX-License-Identifier: MIT
"""Records: markers that the helpers number and check, so that none is lost, doubled or damaged.

A record is a marker with its place before it and a check as its last word,
``<0.17<LAVA_SIGNAL_ENDRUN smoke uuid CHECK=123456>``: the seventeenth record of the first test.
Whatever the kernel writes into it, and whatever piece of it is lost, what is left is not taken for
a marker that a test printed itself.  The node keeps its records and prints again what the
dispatcher misses.  Where a node has a channel beside its console, most records go by that first.
What is typed in answer to a record has the same form, with the record's place.
The shell's side is ``scripts/lava-words.sh``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

RECORDS_PORT = "lava-vmgroup.records"
"""The name by which a VM finds its port for records."""

MAX_WANTED = 100
"""Records that a node is asked for at once: what fits a line that is typed."""

_MAX_FRUITLESS = 12
"""How often a node is asked for records of which none arrives."""

_MAX_RECORD = 5000
_FACTOR, _MODULUS = 2039, 999983
_UNPRINTABLE = 95
_HEAD = re.compile(r"<(\d{1,4})\.(\d{1,7})(?=<LAVA_)")
_WITHOUT_HEAD = re.compile(r"<LAVA_[^<>]{0,4000} CHECK=")
_CALL = re.compile(r"<(\d{1,4})\.(\d{1,7})<LAVA_MULTI_NODE>")
_TAIL = re.compile(r" CHECK=(\d{1,6})>")
_UNFINISHED = re.compile(r"<(?:\d{1,4}(?:\.(?:\d{1,7}(?:<LAVA_.*)?)?)?)?")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Which record it is."""

    test: int
    """The test's number on its node, from 0."""
    number: int
    """From 1."""

    @property
    def word(self) -> str:
        """The place as a word of its own, such as the name of data in parts."""
        return f"{self.test}_{self.number}"

    @classmethod
    def of_word(cls, word: str) -> Place | None:
        """The place that a word names, None for another word."""
        match = re.fullmatch(r"(\d{1,4})_(\d{1,7})", word)
        return cls(int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record."""

    place: Place
    text: str
    """The marker that the node would print without a number."""


def enveloped(place: Place, text: str) -> str:
    """`text` as the record at `place`."""
    numbered = f"{place.test}.{place.number}{text.removesuffix('>')}"
    return f"<{numbered} CHECK={_check(numbered)}>"


def find_record(line: str) -> Record | None:
    """The first whole record in a line."""
    for head in _HEAD.finditer(line):
        for tail in _TAIL.finditer(line, head.end(), head.end() + _MAX_RECORD):
            text = line[head.start() + 1 : tail.start()]
            if _check(text) == int(tail[1]):
                place = Place(int(head[1]), int(head[2]))
                marker = line[head.end() : tail.start()]
                # The runner's lines have no such end.
                end = "" if marker.startswith("<LAVA_TEST_RUNNER>") else ">"
                return Record(place, f"{marker}{end}")
    return None


def holds_damaged_record(line: str) -> bool:
    """Whether a line without a whole record has an end of one."""
    return bool(_HEAD.search(line) or _WITHOUT_HEAD.search(line))


def damaged_call(line: str) -> Place | None:
    """The place of the last MultiNode call that begins in a line, if it is to be read."""
    calls = _CALL.findall(line)
    return Place(int(calls[-1][0]), int(calls[-1][1])) if calls else None


def ends_in_record(text: str) -> bool:
    """Whether the end of `text` may be the beginning of a record."""
    start = text.rfind("<")
    starts = [head.start() for head in _HEAD.finditer(text)]
    return start >= 0 and bool(_UNFINISHED.fullmatch(text, min([start, *starts[-1:]])))


def _check(text: str) -> int:
    check = 0
    for byte in text.encode(errors="surrogateescape"):
        value = byte - 32 if 32 <= byte < 127 else _UNPRINTABLE
        check = (check * _FACTOR + value + 1) % _MODULUS
    return check


@dataclass(slots=True)
class _Test:
    came: set[int] = field(default_factory=set)
    last: int = 0
    misses: int = 0
    """How many records were missing when the node was asked last."""
    fruitless: int = 0


class Ledger:
    """Which records of a test shell have come."""

    def __init__(self) -> None:
        self._tests: dict[int, _Test] = {}

    def take(self, place: Place) -> bool:
        """Note that a record has come; False when it had come before."""
        test = self._tests.setdefault(place.test, _Test())
        if place.number in test.came:
            return False
        test.came.add(place.number)
        test.last = max(test.last, place.number)
        return True

    def has(self, place: Place) -> bool:
        """Whether a record has come."""
        test = self._tests.get(place.test)
        return test is not None and place.number in test.came

    def wanted(self, number: int) -> tuple[int, ...]:
        """The records to ask a test's node for: none when all have come, or never will."""
        test = self._tests.setdefault(number, _Test())
        missing = tuple(_missing(test))
        test.fruitless = test.fruitless + 1 if len(missing) == test.misses else 0
        test.misses = len(missing)
        return missing[:MAX_WANTED] if test.fruitless < _MAX_FRUITLESS else ()

    def missing(self) -> dict[int, tuple[int, ...]]:
        """The records of each test that others show to be missing."""
        return {
            number: missing
            for number, test in sorted(self._tests.items())
            if (missing := tuple(_missing(test)))
        }


def _missing(test: _Test) -> Iterator[int]:
    return (number for number in range(1, test.last) if number not in test.came)
