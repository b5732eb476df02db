# SPDX-License-Identifier: MIT
"""Collecting a node's test runs from what its test shell says, complete or not."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from operator import itemgetter

from lava_vmgroup.clock import now
from lava_vmgroup.console.faults import SeenFault, Severity
from lava_vmgroup.log import NodeLog
from lava_vmgroup.results.model import Outcome, SoftwareContext, TestCase, TestRun
from lava_vmgroup.testshell.collected import LeftBehind, read_results
from lava_vmgroup.testshell.events import (
    EndRun,
    EndTestCase,
    Event,
    InstallFailed,
    StartRun,
    StartTestCase,
    TestCaseSignal,
    TestExited,
    TestSet,
)
from lava_vmgroup.testshell.expected import as_expected
from lava_vmgroup.testshell.overlay import OverlayTest
from lava_vmgroup.testshell.records import MAX_WANTED, Numbers, Place, find_record
from lava_vmgroup.testshell.signals import parse_line, parse_signal

INSTALL_CASE = "lava-test-shell-install"
RUN_CASE = "lava-test-shell-run"
"""LAVA's test cases for the scripts themselves; recorded when a script fails."""

MAX_RESULTS = 100_000
"""Results that are kept of one test run; each takes about a kilobyte in every file of results."""

_NEAR = 100
"""How many records may be lost around one that lost both its ends."""

FAULT_CASE = "lava-console-"
"""What the test case of a fault on the console begins with; the fault's name follows."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A test case or a change of the set, at its place in the run."""

    order: tuple[int, int]
    """The number of its record and 0, or of the last record before it and a running number."""
    told: TestCase | TestSet
    signal: TestCaseSignal | None = None


@dataclass(slots=True)
class _Run:
    test: OverlayTest
    started_at: datetime = field(default_factory=now)
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    finished: bool = False
    entries: list[_Entry] = field(default_factory=list)
    came: Numbers = field(default_factory=Numbers)
    """The records that have come."""
    last_on_console: int = 0
    """Among which records a line of the console stands."""
    jumps: list[tuple[int, datetime]] = field(default_factory=list)
    """The records that came before some with lower numbers, and when."""
    expected: int = 0
    """The records with lower numbers should have come."""
    left_out: int = 0
    """How many results were too many."""
    left_behind: LeftBehind = field(default_factory=LeftBehind)

    @property
    def cases(self) -> list[TestCase]:
        """The test cases in the order in which they were recorded, with the sets they are in."""
        test_set, cases = None, []
        for entry in sorted(self.entries, key=lambda entry: entry.order):
            if isinstance(entry.told, TestSet):
                test_set = entry.told.name
            else:
                cases.append(replace(entry.told, test_set=test_set))
        return cases

    @property
    def missing(self) -> int:
        """How many results and other records are not to be had any more."""
        return self.came.missing(self.expected) + self.left_out

    def note_record(self, number: int, *, on_console: bool = True) -> None:
        """Note that a record has come."""
        if on_console:
            self.last_on_console = max(self.last_on_console, number)
        if number > self.came.last + 1:
            self.jumps.append((number, now()))
        self.came.add(number)

    def recorded_at(self, number: int | None) -> datetime:
        """About when a record was made: now, or when one that was made later has come."""
        if number is not None and number < self.came.last:
            later = bisect_right(self.jumps, number, key=itemgetter(0))
            if later < len(self.jumps):
                return self.jumps[later][1]
        return now()

    def add(
        self, told: TestCase | TestSet, number: int | None, signal: TestCaseSignal | None = None
    ) -> bool:
        """Put something at its place; False when it is there already, or there is no room."""
        if number is None:
            order = (self.last_on_console, len(self.entries) + 1)
        else:
            order = (number, 0)
            if signal is not None and (torn := self._without_number(number, signal)) is not None:
                self.entries[torn] = _Entry(order, self.entries[torn].told, signal)
                return False
        if len(self.entries) >= MAX_RESULTS:
            self.left_out += 1
            return False
        self.entries.append(_Entry(order, told, signal))
        return True

    def _without_number(self, number: int, signal: TestCaseSignal) -> int | None:
        """Where a late record is that came as a marker before, both its ends having been lost."""
        if number >= self.came.last:
            return None
        for index, entry in enumerate(self.entries):
            after, running = entry.order
            fits = running and after < number <= after + _NEAR and entry.signal == signal
            if fits and not any(between in self.came for between in range(after + 1, number)):
                return index
        return None

    def as_result(self) -> TestRun:
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
    """The cases with what was attached to them: of several with one name, to the last."""
    merged = list(cases)
    last = {case.name: index for index, case in enumerate(merged)}
    for name, kept in left.cases.items():
        if kept.attachments and name in last:
            index = last[name]
            merged[index] = replace(merged[index], attachments=kept.attachments)
    return merged


def fault_case(fault: SeenFault) -> tuple[str, str]:
    """The name of the test case that fails for a fault, and its message.

    What is fatal fails the test case that it interrupts.
    """
    interrupted = fault.test_case if fault.severity is Severity.FATAL else None
    name = interrupted or f"{FAULT_CASE}{fault.name}"
    return name, "\n".join((fault.line, *fault.lines))


class RunRecorder:
    """The test runs of one node, growing; what was recorded stays whatever happens later."""

    def __init__(self, log: NodeLog) -> None:
        self._log = log
        self._tests: dict[str, OverlayTest] = {}
        self._runs: dict[str, _Run] = {}
        self._numbers: list[str] = []
        self._current: _Run | None = None
        self._others: list[TestRun] = []
        self.running_case: str | None = None
        """The test case that has begun and not ended."""
        self.before_end: Callable[[], None] = lambda: None
        """Called before a run ends, for what is still to be recorded in it."""

    def expect_tests(self, tests: Sequence[OverlayTest]) -> None:
        """Make the tests known that the next test shell runs."""
        self._tests.update({test.uuid: test for test in tests})
        self._numbers += [test.uuid for test in tests]

    @property
    def expected(self) -> int:
        """How many tests are known: the number of the next one."""
        return len(self._numbers)

    @property
    def runs(self) -> tuple[TestRun, ...]:
        """All runs so far, in the order in which they began."""
        runs = [*(run.as_result() for run in self._runs.values()), *self._others]
        return tuple(sorted(runs, key=lambda run: run.started_at))

    def add_run(self, run: TestRun) -> None:
        """Take a run that was no test shell's."""
        self._others.append(run)

    def add_results(self, archive: bytes) -> None:
        """Take the tar of a node's results folder: what came by markers is not recorded again."""
        found = read_results(archive)
        for problem in found.problems:
            self._log.warning("collect", problem)
        for uuid, left in found.runs.items():
            if uuid not in self._tests:
                continue
            run = self._runs.setdefault(uuid, _Run(self._tests[uuid]))
            run.left_behind = left
            self._add_records(run, left.records)
            names = {case.name for case in run.cases}
            for name, kept in left.cases.items():
                if kept.reported is not None and name not in names:
                    self._record(run, kept.as_signal(name))

    def _add_records(self, run: _Run, lines: Sequence[str]) -> None:
        """Take those of a run's records that never came whole on the console."""
        for line in lines:
            record = find_record(line)
            if record is None or record.place.number in run.came:
                continue
            run.note_record(record.place.number)
            event = parse_signal(record.text)
            if isinstance(event, TestCaseSignal):
                self._record(run, event, number=record.place.number)
            elif isinstance(event, TestSet):
                run.add(event, record.place.number)

    def note_record(self, place: Place, *, on_console: bool = True) -> None:
        """Note that a record has come for the first time, whatever it tells."""
        if run := self._run_at(place):
            run.note_record(place.number, on_console=on_console)

    def note_missing(self, incomplete: Mapping[int, int]) -> None:
        """Note that of tests of the last test shell not all records below a number have come."""
        for test, last in incomplete.items():
            if run := self._run_at(Place(test, 0)):
                run.expected = last
                if not run.missing:
                    continue
                name = run.test.definition.name
                self._log.warning(
                    "records",
                    f"{run.missing} of what test run {name} recorded never came whole on the "
                    "console",
                    name=name,
                    numbers=list(islice(run.came.missing_ones(last), MAX_WANTED)),
                )

    def _run_at(self, place: Place) -> _Run | None:
        """The run that a record belongs to; it has begun with its first record."""
        if place.test >= len(self._numbers):
            return None
        return self._opened(self._numbers[place.test])

    def line(self, text: str) -> None:
        """Take a line that was no marker: the current test's own pattern may see a result."""
        if self._current is None:
            return
        signal = parse_line(self._current.test.definition, text)
        if signal is not None:
            self._record(self._current, signal)

    def event(self, event: Event, place: Place | None = None) -> None:
        """Take an event of the test shell, and where it stands if it was a record."""
        run = (self._run_at(place) if place is not None else None) or self._current
        number = place.number if place is not None else None
        match event:
            case StartRun(uuid=uuid) if uuid in self._tests:
                run = self._opened(uuid)
                if number is None or number == run.last_on_console:
                    self._current = run
            case EndRun(uuid=uuid) if uuid in self._runs:
                self.before_end()
                self._end(self._runs[uuid], finished=True)
            case TestExited(directory=directory, return_code=code) if code != 0:
                self._script_failed(directory, RUN_CASE, f"exit code {code}", number)
            case InstallFailed(directory=directory):
                self._script_failed(directory, INSTALL_CASE, "the install steps failed", number)
            case StartTestCase(test_case_id=name):
                self.running_case = name
                self._log.debug("state", f"test case {name}", state=name)
            case EndTestCase():
                self.running_case = None
            case TestCaseSignal():
                self._record_in(run, event, number)
            case TestSet() if run is not None:
                run.add(event, number)

    def fault(self, fault: SeenFault) -> None:
        """Fail a test case of the run that goes on for what the console shows; any thread may."""
        run = self._current
        if run is None:
            return
        name, message = fault_case(fault)
        signal = TestCaseSignal(test_case_id=name, result=Outcome.FAIL, reported="fail")
        self._record(run, replace(signal, message=message))

    def _opened(self, uuid: str) -> _Run:
        """A run, which begins now if nothing was heard of it before."""
        if uuid in self._runs:
            return self._runs[uuid]
        run = self._runs[uuid] = _Run(self._tests[uuid])
        name = run.test.definition.name
        self._log.event("run-start", f"test run {name} begins", name=name, uuid=uuid)
        return run

    def _end(self, run: _Run, *, finished: bool) -> None:
        run.ended, run.finished = time.monotonic(), finished
        run.add(TestSet(name=None), None)
        self._current = self.running_case = None
        name = run.test.definition.name
        self._log.event("run-end", f"test run {name} ends", name=name, finished=finished)

    def _script_failed(
        self, directory: str, case: str, message: str, number: int | None = None
    ) -> None:
        uuid = directory.partition("_")[2]
        if uuid not in self._tests:
            return
        run = self._opened(uuid)
        signal = TestCaseSignal(test_case_id=case, result=Outcome.FAIL, reported="fail")
        self._record(run, replace(signal, message=message), number=number)
        self._end(run, finished=False)

    def _record_in(self, run: _Run | None, signal: TestCaseSignal, number: int | None) -> None:
        if run is None:
            name = signal.test_case_id
            self._log.warning("test-case", f"test case {name} was recorded outside of a test run")
        else:
            self._record(run, signal, number=number)

    def _record(self, run: _Run, signal: TestCaseSignal, *, number: int | None = None) -> None:
        message = signal.message
        if message is None and signal.reported not in (signal.result.value, signal.result.name):
            message = f"the test reported {signal.reported!r}"
        case = TestCase(
            name=signal.test_case_id,
            outcome=signal.result,
            measurement=signal.measurement,
            units=signal.units if signal.measurement is not None else None,
            message=message,
            reference=signal.reference,
            recorded_at=run.recorded_at(number),
        )
        if not run.add(case, number, signal):
            if run.left_out == 1:
                self._log.warning("records", f"only the first {MAX_RESULTS} results are kept")
            return
        value = f" {case.measurement} {case.units or ''}".rstrip() if case.measurement else ""
        self._log.event(
            "test-case",
            f"{case.name}: {case.outcome.value}{value}",
            name=case.name,
            result=case.outcome.value,
            measurement=case.measurement,
            units=case.units,
        )
