# SPDX-License-Identifier: MIT
"""Collecting a node's test runs from what its test shell says, complete or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

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
from lava_vmgroup.testshell.overlay import OverlayTest
from lava_vmgroup.testshell.signals import parse_line

INSTALL_CASE = "lava-test-shell-install"
RUN_CASE = "lava-test-shell-run"
"""LAVA's test cases for the scripts themselves; recorded when a script fails."""

FAULT_CASE = "lava-console-"
"""What the test case of a fault on the console begins with; the fault's name follows."""


@dataclass(slots=True)
class _Run:
    test: OverlayTest
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    finished: bool = False
    cases: list[TestCase] = field(default_factory=list)
    test_set: str | None = None
    left_behind: LeftBehind = field(default_factory=LeftBehind)

    def as_result(self) -> TestRun:
        ended = self.ended if self.ended is not None else time.monotonic()
        left = self.left_behind
        return TestRun(
            name=self.test.definition.name,
            uuid=self.test.uuid,
            started_at=self.started_at,
            duration_s=ended - self.started,
            cases=tuple(_with_attachments(self.cases, left)),
            metadata={**self.test.metadata, **left.metadata},
            finished=self.finished,
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
        self._current: _Run | None = None
        self._others: list[TestRun] = []
        self.running_case: str | None = None
        """The test case that has begun and not ended."""
        self.before_end: Callable[[], None] = lambda: None
        """Called before a run ends, for what is still to be recorded in it."""

    def expect_tests(self, tests: Sequence[OverlayTest]) -> None:
        """Make the tests known that the next test shell runs."""
        self._tests.update({test.uuid: test for test in tests})

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
            names = {case.name for case in run.cases}
            for name, kept in left.cases.items():
                if kept.reported is not None and name not in names:
                    self._record(run, kept.as_signal(name))

    def line(self, text: str) -> None:
        """Take a line that was no marker: the current test's own pattern may see a result."""
        if self._current is None:
            return
        signal = parse_line(self._current.test.definition, text)
        if signal is not None:
            self._record(self._current, signal)

    def event(self, event: Event) -> None:
        """Take an event of the test shell."""
        match event:
            case StartRun(uuid=uuid) if uuid in self._tests:
                self._begin(uuid)
            case EndRun(uuid=uuid) if uuid in self._runs:
                self.before_end()
                self._end(self._runs[uuid], finished=True)
            case TestExited(directory=directory, return_code=code) if code != 0:
                self._script_failed(directory, RUN_CASE, f"exit code {code}")
            case InstallFailed(directory=directory):
                self._script_failed(directory, INSTALL_CASE, "the install steps failed")
            case StartTestCase(test_case_id=name):
                self.running_case = name
                self._log.debug("state", f"test case {name}", state=name)
            case EndTestCase():
                self.running_case = None
            case TestCaseSignal():
                self._test_case(event)
            case TestSet(name=name) if self._current is not None:
                self._current.test_set = name

    def fault(self, fault: SeenFault) -> None:
        """Fail a test case of the run that goes on for what the console shows; any thread may."""
        run = self._current
        if run is None:
            return
        name, message = fault_case(fault)
        self._record(
            run, TestCaseSignal(test_case_id=name, result=Outcome.FAIL, reported="fail"), message
        )

    def _begin(self, uuid: str) -> _Run:
        run = self._runs.setdefault(uuid, _Run(self._tests[uuid]))
        self._current = run
        name = run.test.definition.name
        self._log.event("run-start", f"test run {name} begins", name=name, uuid=uuid)
        return run

    def _end(self, run: _Run, *, finished: bool) -> None:
        run.ended, run.finished, run.test_set = time.monotonic(), finished, None
        self._current = self.running_case = None
        name = run.test.definition.name
        self._log.event("run-end", f"test run {name} ends", name=name, finished=finished)

    def _script_failed(self, directory: str, case: str, message: str) -> None:
        uuid = directory.partition("_")[2]
        if uuid not in self._tests:
            return
        run = self._runs.get(uuid) or self._begin(uuid)
        self._record(
            run, TestCaseSignal(test_case_id=case, result=Outcome.FAIL, reported="fail"), message
        )
        self._end(run, finished=False)

    def _test_case(self, signal: TestCaseSignal) -> None:
        if self._current is None:
            self._log.warning(
                "test-case", f"test case {signal.test_case_id} was recorded outside of a test run"
            )
            return
        self._record(self._current, signal)

    def _record(self, run: _Run, signal: TestCaseSignal, message: str | None = None) -> None:
        message = message or signal.message
        if message is None and signal.reported not in (signal.result.value, signal.result.name):
            message = f"the test reported {signal.reported!r}"
        case = TestCase(
            name=signal.test_case_id,
            outcome=signal.result,
            measurement=signal.measurement,
            units=signal.units if signal.measurement is not None else None,
            message=message,
            test_set=run.test_set,
            reference=signal.reference,
            recorded_at=datetime.now(UTC),
        )
        run.cases.append(case)
        value = f" {case.measurement} {case.units or ''}".rstrip() if case.measurement else ""
        self._log.event(
            "test-case",
            f"{case.name}: {case.outcome.value}{value}",
            name=case.name,
            result=case.outcome.value,
            measurement=case.measurement,
            units=case.units,
        )
