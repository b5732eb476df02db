# SPDX-License-Identifier: MIT
"""A test run while it grows: its test cases, and the numbers of the records that have come.

Test cases and changes of the set are in the order in which the test recorded them.  The rules:

1. Records are ordered by their numbers: those beside the console, and repeated ones, arrive in
   another order.
2. A line of the console without a number (a marker that the test itself printed, or a line that
   fits parse.pattern) follows the records that came on the console before it.
3. A set's marker without a number also follows all records that had come by then on any way, and so
   do the lines after it.  If a record comes on the console later, they stand before that record.
"""

from __future__ import annotations

import posixpath
import time
from bisect import bisect_right
from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime, timedelta
from operator import itemgetter

from lava_vmgroup.base.clock import now
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.results.model import SoftwareContext, TestCase, TestRun
from lava_vmgroup.results.printable import one_line
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell.collected import LeftBehind
from lava_vmgroup.testshell.complaints import Complaints
from lava_vmgroup.testshell.events import TestCaseSignal, TestSet
from lava_vmgroup.testshell.expected import as_expected
from lava_vmgroup.testshell.records import Numbers

MAX_RESULTS = 100_000
"""Results that are kept of one test run; each takes about a kilobyte in every file of results."""

_NEAR = 100
"""Number of records that may be lost around one that lost both its ends."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A test case or a change of the set, at its place in the run."""

    order: tuple[int, int]
    """For a record, its number and 0; else the number of the last record before it, and a running
    number."""
    told: TestCase | TestSet
    signal: TestCaseSignal | None = None


@dataclass(slots=True)
class Run:
    """The state of one run."""

    test: OverlayTest
    log: InitVar[NodeLog]
    started_at: datetime = field(default_factory=now)
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    finished: bool = False
    entries: list[RunEntry] = field(default_factory=list)
    came: Numbers = field(default_factory=Numbers)
    """The records that have come."""
    last_on_console: int = 0
    """The greatest number of a record that came on the console; later lines there follow it."""
    last_at_own_set: int = 0
    """The greatest number of a record that had come, on any way, when the test itself last printed
    a marker of a set."""
    jumps: list[tuple[int, datetime]] = field(default_factory=list)
    """The numbers of records that came before records with lower numbers, and their times."""
    expected: int = 0
    """All records with numbers below this one should have come."""
    left_out: int = 0
    """Number of results dropped beyond `MAX_RESULTS`."""
    left_behind: LeftBehind = field(default_factory=LeftBehind)
    complaints: Complaints = field(init=False)

    def __post_init__(self, log: NodeLog) -> None:
        """Log warnings to the node's `log`."""
        self.complaints = Complaints(log, "test cases with words that cannot be used")

    @property
    def cases(self) -> list[TestCase]:
        """The test cases in the order in which they were recorded, each with its set."""
        test_set, cases = None, []
        for entry in sorted(self.entries, key=lambda entry: entry.order):
            if isinstance(entry.told, TestSet):
                test_set = entry.told.name
            else:
                cases.append(replace(entry.told, test_set=test_set))
        return cases

    @property
    def missing(self) -> int:
        """The number of results and other records that are lost."""
        return self.came.missing(self.expected) + self.left_out

    def note_record(self, number: int, *, on_console: bool = True) -> None:
        """Note that a record has come, on the console or beside it."""
        if on_console and number > self.last_on_console:
            self.last_on_console = number
            self._put_before(number)
        if number > self.came.last + 1:
            self.jumps.append((number, now()))
        self.came.add(number)

    def recorded_at(self, number: int | None) -> datetime:
        """Return the approximate time at which a record was made.

        That is the time when the first record with a greater number came, else now.
        """
        if number is not None and number < self.came.last:
            later = bisect_right(self.jumps, number, key=itemgetter(0))
            if later < len(self.jumps):
                return self.jumps[later][1]
        return now()

    def add(
        self, told: TestCase | TestSet, number: int | None, signal: TestCaseSignal | None = None
    ) -> bool:
        """Add an entry at its place; return False if it is there already, or there is no room.

        `number` is its record's, or None without one.  `signal` is the event of a test case.
        """
        if number is None:
            if isinstance(told, TestSet):
                self.last_at_own_set = self.came.last
            order = (max(self.last_on_console, self.last_at_own_set), len(self.entries) + 1)
        else:
            order = (number, 0)
            if signal is not None and (torn := self._without_number(number, signal)) is not None:
                self.entries[torn] = RunEntry(order, self.entries[torn].told, signal)
                return False
        if len(self.entries) >= MAX_RESULTS:
            self.left_out += 1
            return False
        self.entries.append(RunEntry(order, told, signal))
        return True

    def _put_before(self, number: int) -> None:
        """Move entries without a number in front of the record that follows them on the console."""
        if self.last_at_own_set < number:
            return
        self.last_at_own_set = number - 1
        for index, entry in enumerate(self.entries):
            after, running = entry.order
            if running and after >= number:
                self.entries[index] = replace(entry, order=(number - 1, running))

    def _without_number(self, number: int, signal: TestCaseSignal) -> int | None:
        """Return the index of the entry that a late record has made before, or None.

        The record came then as a marker that had lost place and check.
        """
        if number >= self.came.last:
            return None
        for index, entry in enumerate(self.entries):
            after, running = entry.order
            fits = running and after < number <= after + _NEAR and entry.signal == signal
            if fits and not any(between in self.came for between in range(after + 1, number)):
                return index
        return None

    def as_result(self) -> TestRun:
        """Return the run as a result, complete or not."""
        ended = self.ended if self.ended is not None else time.monotonic()
        left = self.left_behind
        seconds = ended - self.started
        cases = as_expected(
            _with_attachments(self.cases, left),
            self.test.definition.expected,
            self.started_at + timedelta(seconds=seconds),
        )
        return TestRun(
            name=self.test.definition.name,
            uuid=self.test.uuid,
            started_at=self.started_at,
            duration_s=seconds,
            cases=tuple(cases),
            metadata={**self.test.metadata, **left.metadata},
            finished=self.finished,
            missing_records=self.missing,
            attachments=left.attachments,
            hardware=left.hardware,
            software=SoftwareContext(
                image=left.image, packages=left.packages, sources=self.test.software
            ),
        )


def _with_attachments(cases: list[TestCase], left: LeftBehind) -> list[TestCase]:
    """Return the cases with their attachments; of several with one name, the last gets them."""
    merged = list(cases)
    last = {folder_name(case.name): index for index, case in enumerate(merged)}
    for name, kept in left.cases.items():
        if kept.attachments and folder_name(name) in last:
            index = last[folder_name(name)]
            merged[index] = replace(merged[index], attachments=kept.attachments)
    return merged


def folder_name(name: str) -> str:
    """Return a test case's name in the form in which its folder on the node keeps it."""
    return posixpath.normpath(f"./{one_line(name)}")
