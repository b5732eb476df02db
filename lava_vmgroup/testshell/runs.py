# SPDX-License-Identifier: MIT
"""Collects a node's test runs from the events of its test shell, complete or not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from lava_vmgroup.base.console_faults import FaultSeverity, SeenFault
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.results.model import Outcome, TestCase, TestRun
from lava_vmgroup.results.printable import one_line
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell.collected import read_results
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
from lava_vmgroup.testshell.patterns import results_in
from lava_vmgroup.testshell.records import MAX_WANTED, Place, find_record
from lava_vmgroup.testshell.run import MAX_RESULTS, Run, folder_name
from lava_vmgroup.testshell.signals import parse_signal
from lava_vmgroup.testshell.verdicts import (
    INSTALL_CASE,
    OUTCOMES,
    RUN_CASE,
    Details,
    outcome_of,
    verdict,
)

_NO_VERDICT = "lava-test-case gave no verdict: it was killed, or still ran at the end of the test"

FAULT_CASE = "lava-console-"
"""The beginning of the name of a test case for a fault on the console; the fault's name follows."""


def fault_case(fault: SeenFault) -> tuple[str, str]:
    """Return the name and the message of the test case that fails because of a fault.

    A fatal fault fails the test case that it interrupts, if there is one.
    """
    interrupted = fault.test_case if fault.severity is FaultSeverity.FATAL else None
    name = interrupted or f"{FAULT_CASE}{fault.name}"
    return name, "\n".join((fault.line, *fault.lines))


def _ending(exited: TestExited) -> str:
    """Return the reason why the script of a test has failed."""
    if exited.early:
        return "its steps ended with exit code 0 before the last one"
    if exited.return_code is None:
        return (
            "its exit code is not known: lava-test-shell, which runs the steps, was killed, "
            "or the disk is full"
        )
    return f"exit code {exited.return_code}"


class RunRecorder:
    """The test runs of one node while they grow; recorded results stay if the node fails later."""

    def __init__(self, log: NodeLog) -> None:
        self._log = log
        self._tests: dict[str, OverlayTest] = {}
        self._runs: dict[str, Run] = {}
        self._numbers: list[str] = []
        self._current: Run | None = None
        self._others: list[TestRun] = []
        self.running_case: str | None = None
        """Name of the test case that has begun and not ended."""
        self.before_end: Callable[[], None] = lambda: None
        """Called before a run ends, so that pending faults of the console are recorded in it."""

    def expect_tests(self, tests: Sequence[OverlayTest]) -> None:
        """Add the tests that the next test shell runs, in their order."""
        self._tests.update({test.uuid: test for test in tests})
        self._numbers += [test.uuid for test in tests]

    @property
    def expected(self) -> int:
        """The number of known tests, which is the number of the next one."""
        return len(self._numbers)

    @property
    def runs(self) -> tuple[TestRun, ...]:
        """All runs so far, in the order in which they began."""
        runs = [*(run.as_result() for run in self._runs.values()), *self._others]
        return tuple(sorted(runs, key=lambda run: run.started_at))

    def add_run(self, run: TestRun) -> None:
        """Add a run that does not come from a test shell."""
        self._others.append(run)

    def add_results(self, archive: bytes) -> None:
        """Read the tar of a node's results folder: files, and results that no marker brought."""
        found = read_results(archive)
        for problem in found.problems:
            self._log.warning("collect", problem)
        for uuid, left in found.runs.items():
            if uuid not in self._tests:
                continue
            run = self._runs.setdefault(uuid, Run(self._tests[uuid], self._log))
            run.left_behind = left
            self._add_records(run, left.records)
            recorded = Counter(folder_name(case.name) for case in run.cases)
            for name, kept in left.cases.items():
                number = recorded[folder_name(name)]
                if kept.reported is not None and not number:
                    self._record(run, kept.as_signal(name))
                elif number < kept.begun and run.finished and not run.missing:
                    self._record(run, verdict(name, "fail", Details(message=_NO_VERDICT)))

    def close_tests(self, tests: Sequence[OverlayTest]) -> None:
        """Fail those of the tests whose end was never reported, although the test shell has ended.

        Call it after `add_results`, which may still find the end of a test.
        """
        for test in tests:
            run = self._runs.get(test.uuid)
            if run is not None and run.ended is not None:
                continue
            message = "its steps never ran" if run is None else "its end was never reported"
            self._fail(self._opened(test.uuid), RUN_CASE, message)

    def _add_records(self, run: Run, lines: Sequence[str]) -> None:
        """Add those records of a run that never came undamaged while it ran."""
        for line in lines:
            record = find_record(line)
            if record is None or record.place.number in run.came:
                continue
            run.note_record(record.place.number)
            event = parse_signal(record.text, torn=False)
            if isinstance(event, TestCaseSignal):
                self._record(run, event, number=record.place.number)
            elif isinstance(event, TestSet):
                run.add(event, record.place.number)
            elif isinstance(event, EndRun | TestExited | InstallFailed) and run.ended is None:
                self.event(event, record.place)

    def note_record(self, place: Place, *, on_console: bool = True) -> None:
        """Note that a record has come for the first time; `event` takes its event."""
        if run := self._run_at(place):
            run.note_record(place.number, on_console=on_console)

    def note_missing(self, incomplete: Mapping[int, int]) -> None:
        """Note the tests with missing records, as `Ledger.incomplete` names them, and warn."""
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

    def _run_at(self, place: Place) -> Run | None:
        """Return the run of a record, or None; its first record begins the run."""
        if place.test >= len(self._numbers):
            return None
        return self._opened(self._numbers[place.test])

    def line(self, text: str) -> None:
        """Take a console line that is no marker; the test's own pattern may find results in it."""
        if self._current is None:
            return
        for signal in results_in(self._current.test.definition, text):
            self._record(self._current, signal)

    def event(self, event: Event, place: Place | None = None) -> None:
        """Take an event of the test shell, with its record's place if it has one."""
        run = (self._run_at(place) if place is not None else None) or self._current
        number = place.number if place is not None else None
        match event:
            case StartRun(uuid=uuid) if uuid in self._tests:
                self._begin(self._opened(uuid), number)
            case EndRun(uuid=uuid) if uuid in self._runs:
                self.before_end()
                self._end(self._runs[uuid], finished=True)
            case TestExited(return_code=0, early=False):
                self._completed(event.directory)
            case TestExited():
                self._script_failed(event.directory, RUN_CASE, _ending(event), number)
            case InstallFailed(early=early):
                message = f"the install steps {'ended before the last one' if early else 'failed'}"
                self._script_failed(event.directory, INSTALL_CASE, message, number)
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
        """Fail a test case of the current run because of a fault on the console.

        Any thread may call this.
        """
        run = self._current
        if run is None:
            return
        name, message = fault_case(fault)
        signal = TestCaseSignal(test_case_id=name, result=Outcome.FAIL, reported="fail")
        self._record(run, replace(signal, message=message))

    def _opened(self, uuid: str) -> Run:
        """Return a test's run, which begins now if it has not begun before."""
        if uuid in self._runs:
            return self._runs[uuid]
        run = self._runs[uuid] = Run(self._tests[uuid], self._log)
        name = run.test.definition.name
        self._log.event("run-start", f"test run {name} begins", name=name, uuid=uuid)
        return run

    def _end(self, run: Run, *, finished: bool) -> None:
        run.ended, run.finished = time.monotonic(), finished
        run.add(TestSet(name=None), None)
        self._current = self.running_case = None
        name = run.test.definition.name
        self._log.event("run-end", f"test run {name} ends", name=name, finished=finished)

    def _begin(self, run: Run, number: int | None) -> None:
        """Begin the steps of a run, and pass its install steps: if they fail, no step runs."""
        if number is None or number == run.last_on_console:
            self._current = run
        cases = (entry.told for entry in run.entries if isinstance(entry.told, TestCase))
        if run.test.installs and not any(case.name == INSTALL_CASE for case in cases):
            self._record(run, verdict(INSTALL_CASE, "pass"))

    def _completed(self, directory: str) -> None:
        """End a run whose last step leaves its script with 0: no marker of its end comes then."""
        run = self._runs.get(directory.partition("_")[2])
        if run is not None and not run.finished:
            self.before_end()
            self._end(run, finished=True)

    def _script_failed(
        self, directory: str, case: str, message: str, number: int | None = None
    ) -> None:
        uuid = directory.partition("_")[2]
        if uuid not in self._tests:
            return
        self._fail(self._opened(uuid), case, message, number)

    def _fail(self, run: Run, case: str, message: str, number: int | None = None) -> None:
        """End a run that did not go as it should, with a failed test case."""
        self._record(run, verdict(case, "fail", Details(message=message)), number=number)
        self._end(run, finished=False)

    def _record_in(self, run: Run | None, signal: TestCaseSignal, number: int | None) -> None:
        if run is None:
            name = signal.test_case_id
            self._log.warning("recording", f"test case {name} was recorded outside of a test run")
        else:
            self._record(run, signal, number=number)

    def _record(self, run: Run, signal: TestCaseSignal, *, number: int | None = None) -> None:
        outcome = signal.result
        if signal.reported not in OUTCOMES:  # a helper does not know the definition's own words
            outcome = outcome_of(signal.reported, run.test.definition.parse.fixups)
        message = signal.message
        own_word = signal.reported not in (outcome.value, outcome.name)
        if own_word and (message is None or signal.doubts):
            message = "; ".join(filter(None, (f"the test reported {signal.reported!r}", message)))
        case = TestCase(
            name=signal.test_case_id,
            outcome=outcome,
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
        if signal.doubts:
            text = f"test case {one_line(case.name)}: {'; '.join(signal.doubts)}"
            run.complaints.tell("recording", text, name=case.name)
        value = f" {case.measurement} {case.units or ''}".rstrip() if case.measurement else ""
        self._log.event(
            "test-case",
            f"{one_line(case.name)}: {case.outcome.value}{value}",
            run=run.test.definition.name,
            name=case.name,
            result=case.outcome.value,
            measurement=case.measurement,
            units=case.units,
        )
