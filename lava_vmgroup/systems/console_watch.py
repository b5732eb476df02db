# SPDX-License-Identifier: MIT
"""The consequences of a fault that a node's console shows."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.clock import now
from lava_vmgroup.base.console_faults import FaultSeverity, SeenFault
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, TestError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.watch import KernelClock, Sighting, Watch
from lava_vmgroup.job.model import ConsoleWatch
from lava_vmgroup.results.printable import one_line
from lava_vmgroup.testshell.runs import RunRecorder

MAX_FAULTS = 25
"""Of each node; a kernel may repeat itself without end."""

_ASK_S = 30.0
_QUESTION = "cat /proc/uptime /sys/module/printk/parameters/time 2>/dev/null"
_ANSWER = re.compile(r"(\d{1,12}\.\d\d) \d{1,12}\.\d\d\s+([YN])\b")

_LEVELS = {
    FaultSeverity.FATAL: logging.ERROR,
    FaultSeverity.ERROR: logging.WARNING,
    FaultSeverity.NOTE: logging.INFO,
}


class NodeWatch(Watch):
    """The watch of a node's console: a fatal fault ends the node, even while its thread waits."""

    def __init__(
        self, settings: ConsoleWatch, token: CancelToken, recorder: RunRecorder, log: NodeLog
    ) -> None:
        super().__init__(
            self._found,
            ignored=settings.ignore,
            added=settings.patterns,
            running_case=lambda: recorder.running_case,
            give_up=token.cancel,
        )
        self._token = token
        self._recorder = recorder
        recorder.before_end = self.settle
        self._log = log
        self._faults: list[SeenFault] = []
        self._runs_tests = False
        self._error: VMGroupError | None = None

    def check(self) -> None:
        """Raise the error of a fatal fault, one in the console's last line included."""
        self.settle()
        if self._error is not None:
            raise self._error

    def came_up(self, shell: Shell, deadline: Deadline) -> None:
        """Count the system behind `shell` as booted; raise the error of a fatal fault of the boot.

        Asks for the kernel's clock, by which its messages are recognized from now on.
        """
        self.check()
        clock = None
        if self.hears_kernel:
            asked_at = time.monotonic()
            _, said = shell.run(_QUESTION, deadline.sub("the kernel's clock", _ASK_S))
            if answer := _ANSWER.search(said):
                clock = KernelClock(
                    uptime_s=float(answer[1]), asked_at=asked_at, has_stamps=answer[2] == "Y"
                )
        self.system_is_up(clock)

    @property
    def faults(self) -> tuple[SeenFault, ...]:
        """The faults so far."""
        return tuple(self._faults)

    @contextmanager
    def running_tests(self) -> Iterator[None]:
        """Raise `TestError`, not `InfrastructureError`, for a system that dies within the block."""
        self._runs_tests = True
        try:
            yield
        finally:
            self._runs_tests = False

    def _found(self, sighting: Sighting) -> None:
        """Record a fault; the thread that reads the console calls this, or a timer soon after."""
        if len(self._faults) >= MAX_FAULTS and sighting.fault.severity is not FaultSeverity.FATAL:
            return
        fault = SeenFault(
            name=sighting.fault.name,
            severity=sighting.fault.severity,
            line=one_line(sighting.line),
            lines=tuple(sighting.lines),
            test_case=sighting.test_case,
            seen_at=now(),
        )
        self._faults.append(fault)
        self._log.event(
            "console",
            f"{fault.name}{_during(fault)}: {fault.line}",
            level=_LEVELS[fault.severity],
            name=fault.name,
            severity=fault.severity.value,
            test_case=fault.test_case,
            lines=list(fault.lines),
        )
        if fault.severity is not FaultSeverity.NOTE:
            self._recorder.fault(fault)
        if fault.severity is FaultSeverity.FATAL:
            self._end_node(fault, sighting.fault.hint)

    def _end_node(self, fault: SeenFault, hint: str) -> None:
        kind = TestError if self._runs_tests else InfrastructureError
        message = f"the console shows {fault.name}{_during(fault)}: {fault.line}"
        self._error = kind(message, hint=hint or None, last_lines=fault.lines)
        self._token.cancel(self._error)


def _during(fault: SeenFault) -> str:
    return f" in test case {fault.test_case}" if fault.test_case else ""
