# SPDX-License-Identifier: MIT
"""Single commands in the shell of a system, each of them a test case."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.base.clock import now
from lava_vmgroup.base.console_faults import FaultSeverity
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, LinkLost, TestError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.results.model import Attachment, Outcome, TestCase, TestRun
from lava_vmgroup.systems.console_watch import NodeWatch
from lava_vmgroup.testdefs.definition import DEFAULT_FIXUPS, ParseRules, TestDefinition
from lava_vmgroup.testshell.patterns import parse_line
from lava_vmgroup.testshell.run import MAX_RESULTS
from lava_vmgroup.testshell.runs import RunRecorder, fault_case

RUN_NAME = "lava-command"
_MAX_LOG = 16 << 20
"""Characters of output that ``stdout.log`` keeps, beside the console's own log."""
_INTERRUPT_S = 60.0
_FAILURES = {0: None, None: "the shell did not run it to its end"}
"""Failure message by exit status, which is None if the command did not end."""
_DEFAULT_PATTERN = (
    r"(?P<test_case_id>.*-*)\s+:\s+"
    r"(?P<result>PASS|pass|FAIL|fail|SKIP|skip|UNKNOWN|unknown)"
)


class CommandRun:
    """The commands of one action, and their results so far."""

    def __init__(
        self,
        shell: Shell,
        recorder: RunRecorder,
        watch: NodeWatch,
        log: NodeLog,
        parameters: Mapping[str, Any],
    ) -> None:
        """`parameters` are those of ``lava_command_run`` in the job."""
        self._shell = shell
        self._recorder = recorder
        self._watch = watch
        self._events = log
        self._parameters = parameters
        self._limit_s: float | None = parameters.get("timeout")
        self._rules = _rules(parameters)
        self._cases: list[TestCase] = []
        self._faults_before = len(watch.faults)
        self._log: list[str] = []
        self._log_room = _MAX_LOG
        self._left_out = 0
        self._started_at, self._started = now(), time.monotonic()

    def run(self, deadline: Deadline) -> None:
        """Run the commands one after the other; record the test run even if an error ends it."""
        self._events.event("run-start", f"test run {RUN_NAME} begins", name=RUN_NAME)
        finished = False
        try:
            with self._watch.running_tests():
                for _ in range(self._parameters.get("iterations", 1)):
                    for command in self._parameters["commands"]:
                        self._run(command, deadline)
            finished = True
        finally:
            self._watch.settle()
            self._recorder.running_case = None
            self._recorder.add_run(self._result(finished=finished))
            self._events.event(
                "run-end", f"test run {RUN_NAME} ends", name=RUN_NAME, finished=finished
            )

    def _run(self, command: str, deadline: Deadline) -> None:
        """Run one command, and record its result and the results that it printed.

        If the command's own time limit passes, it is interrupted and fails.  Raises `TestError` if
        the shell is gone, and `LinkLost` or the deadline's error.
        """
        shell = self._shell
        self._recorder.running_case = command
        self._keep(f"$ {command}\n")
        limit = deadline
        if self._limit_s is not None:
            limit = deadline.exactly(f"the command {command!r}", self._limit_s)
        try:
            status, output = shell.run(command, limit)
        except DeadlineExpired as error:
            if deadline.is_over:
                raise
            self._keep(f"({error.message})\n")
            self._record(_verdict(command, error.message))
            shell.interrupt(deadline.sub("ending the command", _INTERRUPT_S))
            return
        except InfrastructureError as error:
            if deadline.token is not None:
                deadline.token.check()  # an unreachable host is not the command's fault
            if isinstance(error, LinkLost):
                raise
            self._record(_verdict(command, error.message))
            raise TestError(
                f"the shell went away during the command {command!r}: {error.message}",
                hint="a command that ends or replaces the shell ends the node",
                last_lines=error.last_lines,
            ) from error
        self._keep(f"{output}\n" if output else "")
        self._record(_verdict(command, _FAILURES.get(status, f"exit code {status}")))
        self._parse(output)

    def _result(self, *, finished: bool) -> TestRun:
        """Return everything recorded so far as a test run."""
        return TestRun(
            name=RUN_NAME,
            uuid=str(uuid.uuid4()),
            started_at=self._started_at,
            duration_s=time.monotonic() - self._started,
            cases=(*self._cases, *self._faults()),
            finished=finished,
            missing_records=self._left_out,
            attachments=(
                Attachment(
                    pathname="stdout.log",
                    mime_type="text/plain",
                    content="".join(self._log).encode(),
                ),
            ),
        )

    def _faults(self) -> Iterator[TestCase]:
        """Yield a failed test case for each fault that the console showed during the commands."""
        for fault in self._watch.faults[self._faults_before :]:
            if fault.severity is not FaultSeverity.NOTE:
                name, message = fault_case(fault)
                yield TestCase(
                    name=name, outcome=Outcome.FAIL, message=message, recorded_at=fault.seen_at
                )

    def _parse(self, output: str) -> None:
        for line in output.splitlines():
            found = parse_line(self._rules, line)
            if found is not None:
                self._record(
                    TestCase(
                        name=found.test_case_id,
                        outcome=found.result,
                        measurement=found.measurement,
                        units=found.units if found.measurement is not None else None,
                        message=found.message,
                        recorded_at=now(),
                    )
                )

    def _keep(self, text: str) -> None:
        """Append to the log, as far as there is room."""
        self._log.append(text[: self._log_room])
        self._log_room -= len(self._log[-1])

    def _record(self, case: TestCase) -> None:
        """Add and log a test case; beyond `MAX_RESULTS`, only count it."""
        if len(self._cases) >= MAX_RESULTS:
            self._left_out += 1
            return
        self._cases.append(case)
        result = case.outcome.value
        self._events.event(
            "test-case",
            f"{case.name}: {result}",
            run=RUN_NAME,
            name=case.name,
            result=result,
            measurement=case.measurement,
            units=case.units,
        )


def _verdict(command: str, failure: str | None) -> TestCase:
    return TestCase(
        name=command,
        outcome=Outcome.PASS if failure is None else Outcome.FAIL,
        message=failure,
        recorded_at=now(),
    )


def _rules(parameters: Mapping[str, Any]) -> TestDefinition:
    """Return the rules by which results are read from output, as a test definition has them."""
    parser = parameters.get("parser")
    fixups = dict(word.rsplit(":", 1) for word in parameters.get("fixupdict", ()))
    return TestDefinition(
        name=RUN_NAME,
        format="",
        description="",
        parse=ParseRules(
            pattern=UserPattern((parser or _DEFAULT_PATTERN).rstrip("\n")),
            fixups=fixups if parser else DEFAULT_FIXUPS,
        ),
    )
