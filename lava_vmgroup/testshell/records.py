# SPDX-License-Identifier: MIT
"""Records: markers that the helpers number and check, so that none is lost, doubled or damaged.

1. A record is a marker with its place before it and a check as its last word.  For example,
   ``<0.17<LAVA_SIGNAL_ENDRUN smoke uuid CHECK=123456>`` is the first test's record number 17.
2. Place and check stand at both ends.  If the kernel writes into a record, or if a piece is lost,
   the rest does not look like a marker that a test printed itself.
3. The node keeps its records.  It prints those again that the dispatcher misses.
4. If a node has a channel beside its console, most records go by that first.
5. The answer to a record is typed in the same form, with the record's place.

The shell's side is ``scripts/lava-words.sh``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

MAX_WANTED = 100
"""Number of records to ask a node for at once; so many fit into one typed line."""

_MAX_FRUITLESS = 12
"""Number of times to ask a node again when no record arrives."""

_MAX_RECORD = 5000
"""Characters of a record; its marker alone may have 4000."""
_FACTOR, _MODULUS = 2039, 999983
_UNPRINTABLE = 95
_HEAD = re.compile(r"<(\d{1,4})\.(\d{1,6})(?=<LAVA_)")
_WITHOUT_HEAD = re.compile(r"<LAVA_[^<>]{0,4000}(?: CHECK=|CHECK=\d{1,6}>)")
_CALL = re.compile(r"<(\d{1,4})\.(\d{1,6})<LAVA_MULTI_NODE>")
_TAIL = re.compile(r" CHECK=(\d{1,6})>")
_UNFINISHED = re.compile(r"<(?:\d{1,4}(?:\.(?:\d{1,6}(?:<LAVA_.*)?)?)?)?")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """The place of a record: its test, and its number in that test."""

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
        """Return the place that a word names; None for another word."""
        match = re.fullmatch(r"(\d{1,4})_(\d{1,6})", word)
        return cls(int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, slots=True)
class Record:
    """A record that came undamaged."""

    place: Place
    text: str
    """Its marker, without place and check."""


def enveloped(place: Place, text: str) -> str:
    """Return the marker `text` as the record at `place`."""
    numbered = f"{place.test}.{place.number}{text.removesuffix('>')}"
    return f"<{numbered} CHECK={_check(numbered)}>"


def find_record(line: str) -> Record | None:
    """Return the first undamaged record in a line, or None."""
    heads = list(_HEAD.finditer(line))
    ends = [*(head.start() for head in heads[1:]), len(line)]
    for head, end in zip(heads, ends, strict=False):
        # No record holds the beginning or the end of another one.
        tail = _TAIL.search(line, head.end(), min(end, head.end() + _MAX_RECORD))
        if tail is None:
            continue
        text = line[head.start() + 1 : tail.start()]
        if _fits(text, int(tail[1])):
            place = Place(int(head[1]), int(head[2]))
            marker = line[head.end() : tail.start()]
            # A line of lava-test-runner does not end with ">".
            closing = "" if marker.startswith("<LAVA_TEST_RUNNER>") else ">"
            return Record(place, f"{marker}{closing}")
    return None


def holds_damaged_record(line: str) -> bool:
    """Return whether a line has the beginning or the end of a record.

    Such a record is damaged: callers have looked for an undamaged one before.
    """
    return bool(_HEAD.search(line) or _WITHOUT_HEAD.search(line))


def damaged_call(line: str) -> Place | None:
    """Return the place of the last MultiNode call that begins in a line; None if there is none."""
    calls = _CALL.findall(line)
    return Place(int(calls[-1][0]), int(calls[-1][1])) if calls else None


def unfinished_record(text: str) -> int:
    """Return the index at which an unfinished record at the end of `text` begins, or -1."""
    start = text.rfind("<")
    starts = [head.start() for head in _HEAD.finditer(text)]
    start = min([start, *starts[-1:]])
    return start if start >= 0 and _UNFINISHED.fullmatch(text, start) else -1


def _fits(text: str, check: int) -> bool:
    """Return whether a check fits the text, where U+FFFD may stand for a byte that is no UTF-8."""
    if _check(text) == check:
        return True
    return "\ufffd" in text and _check(text.replace("\ufffd", "\x7f")) == check


def _check(text: str) -> int:
    check = 0
    for byte in text.encode(errors="surrogateescape"):
        value = byte - 32 if 32 <= byte < 127 else _UNPRINTABLE
        check = (check * _FACTOR + value + 1) % _MODULUS
    return check


@dataclass(slots=True)
class Numbers:
    """The numbers of the records of one test that have come."""

    last: int = 0
    """The greatest number that has come."""
    _all_to: int = 0
    """All numbers up to this one have come."""
    _further: set[int] = field(default_factory=set)

    def __contains__(self, number: int) -> bool:
        return number <= self._all_to or number in self._further

    def add(self, number: int) -> None:
        """Note that a record has come."""
        self.last = max(self.last, number)
        if number > self._all_to:
            self._further.add(number)
        while self._all_to + 1 in self._further:
            self._all_to += 1
            self._further.remove(self._all_to)

    def missing(self, last: int) -> int:
        """Return the count of numbers below `last` that have not come."""
        further = sum(number < last for number in self._further)
        return max(0, last - 1 - self._all_to - further)

    def missing_ones(self, last: int) -> Iterator[int]:
        """Return the numbers below `last` that have not come."""
        return (number for number in range(self._all_to + 1, last) if number not in self._further)


@dataclass(slots=True)
class _Test:
    came: Numbers = field(default_factory=Numbers)
    misses: int = 0
    """Number of records that were missing when the node was asked last."""
    fruitless: int = 0
    """Number of times in a row that as many records were missing as the time before."""


class Ledger:
    """The records of a test shell that have come."""

    def __init__(self) -> None:
        self._tests: dict[int, _Test] = {}

    def take(self, place: Place) -> bool:
        """Note that a record has come; return False if it had come before."""
        came = self._tests.setdefault(place.test, _Test()).came
        if place.number in came:
            return False
        came.add(place.number)
        return True

    def has(self, place: Place) -> bool:
        """Return whether a record has come."""
        test = self._tests.get(place.test)
        return test is not None and place.number in test.came

    def wanted(self, number: int) -> tuple[int, ...]:
        """Return the records to ask the node of test `number` for, at most `MAX_WANTED`.

        There are none if all have come, or if the node was asked in vain too often.
        """
        test = self._tests.setdefault(number, _Test())
        missing = test.came.missing(test.came.last)
        test.fruitless = test.fruitless + 1 if missing == test.misses else 0
        test.misses = missing
        if test.fruitless >= _MAX_FRUITLESS:
            return ()
        return tuple(islice(test.came.missing_ones(test.came.last), MAX_WANTED))

    def incomplete(self) -> dict[int, int]:
        """Return the tests with missing records, each with the greatest number that came."""
        return {
            number: test.came.last
            for number, test in sorted(self._tests.items())
            if test.came.missing(test.came.last)
        }
