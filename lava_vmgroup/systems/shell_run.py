# SPDX-License-Identifier: MIT
"""Test definitions in a booted system: installed, run, and their results collected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.systems.room import check_room, place
from lava_vmgroup.systems.system import System
from lava_vmgroup.testdefs.overlay import (
    OverlaySpec,
    build_overlay,
    placed_bytes,
    placing_command,
    runner_command,
    unpacking_s,
)
from lava_vmgroup.testshell.calls import GroupSide
from lava_vmgroup.testshell.feed import Feed
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.session import Session
from lava_vmgroup.vms.stored_file import StoredFile

WhoWaits = Callable[[], Sequence[str]]
"""Returns a line for each wait of the group."""

_COLLECT_S = 120.0
_AFTERMATH_S = 20.0
_INTERRUPT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellRun:
    """The tests of one test shell in a system; the methods are called in their order."""

    system: System
    spec: OverlaySpec
    recorder: RunRecorder
    """Takes the results as they come."""
    records_log: Recorder
    """Keeps the text that comes beside the console."""
    log: NodeLog

    def install(self, trees: Sequence[StoredFile], deadline: Deadline) -> None:
        """Bring the tests to the system; `trees` are those that travel apart.

        Raises `JobError` if there is no room for them.
        """
        spec, system = self.spec, self.system
        self.log.event("state", "installing the tests", state="installing the tests")
        size = placed_bytes(spec.tests)
        if trees:
            check_room(system.shell, str(spec.directory), size, deadline)
        system.unpack(build_overlay(spec), str(spec.directory), trees, deadline)
        if trees:
            limit = deadline.sub("giving each test its files", unpacking_s(size))
            place(system.shell, placing_command(spec), limit)

    def run(self, group: GroupSide, deadline: Deadline) -> None:
        """Run the tests to their end; blocks meanwhile.  Raises as `Session.run`."""
        with self._feed(deadline) as feed:
            session = Session(self.system.shell, self.recorder, group, self.log, feed)
            session.run(runner_command(self.spec), deadline)

    def collect(self, deadline: Deadline) -> None:
        """Bring the files that the tests left to the recorder; a failure is logged only."""
        self._collect(deadline.sub("collecting the results", _COLLECT_S))

    def collect_after_failure(self, deadline: Deadline) -> None:
        """Interrupt the tests, and collect in a moment beyond the deadline, which may be over."""
        limit = deadline.beyond("collecting the results of a failure", _AFTERMATH_S)
        self._collect(limit, interrupts=True)

    def _collect(self, deadline: Deadline, *, interrupts: bool = False) -> None:
        if interrupts and _is_canceled(deadline):
            return
        self.log.event("state", "collecting the results", state="collecting the results")
        try:
            if interrupts:
                self._interrupt(deadline.sub("interrupting the tests", _INTERRUPT_S))
            archive = self.system.collect(str(self.spec.directory), deadline)
            if not archive:
                raise InfrastructureError("nothing was packed")
        except VMGroupError as error:
            if not interrupts and _is_canceled(deadline):
                raise
            text = f"the files that the tests left are missing: {error.describe()}"
            self.log.warning("collect", text)
        else:
            self.recorder.add_results(archive)

    def _interrupt(self, deadline: Deadline) -> None:
        """End the tests that still run; a system may have other ways than its console."""
        try:
            self.system.shell.interrupt(deadline)
        except VMGroupError as error:
            self.log.warning("collect", f"the tests cannot be interrupted: {error.describe()}")

    @contextmanager
    def _feed(self, deadline: Deadline) -> Iterator[Feed]:
        """The feed of records that come beside the console."""
        with (
            self.system.records(deadline) as stream,
            Feed(stream, self.system.shell.console, self.records_log) as feed,
        ):
            yield feed


def _is_canceled(deadline: Deadline) -> bool:
    return deadline.token is not None and deadline.token.reason is not None
