# SPDX-License-Identifier: MIT
"""What becomes of a fault that a node's console shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lava_vmgroup.cancel import CancelToken
from lava_vmgroup.console.faults import Finding, Severity
from lava_vmgroup.console.watch import Sighting, Watch
from lava_vmgroup.errors import InfrastructureError, TestError, VMGroupError
from lava_vmgroup.job.model import ConsoleWatch
from lava_vmgroup.log import NodeLog
from lava_vmgroup.results.printable import one_line
from lava_vmgroup.testshell.runs import RunRecorder

MAX_FINDINGS = 25
"""Of each node; a kernel may repeat itself without end."""

_LEVELS = {
    Severity.FATAL: logging.ERROR,
    Severity.ERROR: logging.WARNING,
    Severity.NOTE: logging.INFO,
}


class NodeWatch(Watch):
    """Watches a node's console: what is fatal ends the node, whatever its thread is doing."""

    def __init__(
        self, settings: ConsoleWatch, token: CancelToken, recorder: RunRecorder, log: NodeLog
    ) -> None:
        super().__init__(
            self._found,
            ignored=settings.ignore,
            added=settings.patterns,
            running_case=lambda: recorder.running_case,
        )
        self._token = token
        self._recorder = recorder
        recorder.before_end = self.settle
        self._log = log
        self._findings: list[Finding] = []
        self._runs_tests = False
        self._error: VMGroupError | None = None

    def check(self) -> None:
        """Raise the error for what was fatal, the last words on the console included."""
        self.settle()
        if self._error is not None:
            raise self._error

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        return tuple(self._findings)

    @contextmanager
    def running_tests(self) -> Iterator[None]:
        """Within the block, the test's owner must act when the system dies."""
        self._runs_tests = True
        try:
            yield
        finally:
            self._runs_tests = False

    def _found(self, sighting: Sighting) -> None:
        """Called by the thread that reads the console, or soon after by a timer."""
        if len(self._findings) >= MAX_FINDINGS and sighting.fault.severity is not Severity.FATAL:
            return
        finding = Finding(
            name=sighting.fault.name,
            severity=sighting.fault.severity,
            line=one_line(sighting.line),
            lines=tuple(sighting.lines),
            test_case=sighting.test_case,
            found_at=datetime.now(UTC),
        )
        self._findings.append(finding)
        self._log.event(
            "console",
            f"{finding.name}{_during(finding)}: {finding.line}",
            level=_LEVELS[finding.severity],
            name=finding.name,
            severity=finding.severity.value,
            test_case=finding.test_case,
            lines=list(finding.lines),
        )
        if finding.severity is not Severity.NOTE:
            self._recorder.fault(finding)
        if finding.severity is Severity.FATAL:
            self._end_node(finding)

    def _end_node(self, finding: Finding) -> None:
        kind = TestError if self._runs_tests else InfrastructureError
        message = f"the console shows {finding.name}{_during(finding)}: {finding.line}"
        self._error = kind(message, last_lines=finding.lines)
        self._token.cancel(self._error)


def _during(finding: Finding) -> str:
    return f" in test case {finding.test_case}" if finding.test_case else ""
