# SPDX-License-Identifier: MIT
"""Tests that run in a system, which a shell of this machine and a few lists play."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, InfrastructureError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.systems import shell_run as shell_run_module
from lava_vmgroup.systems.shell_run import ShellRun
from lava_vmgroup.systems.system import System
from lava_vmgroup.testdefs.overlay import OverlaySpec
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.vms.stored_file import StoredFile
from tests.support.scripted import silent_stream
from tests.unit.testshell.test_records import TEST


class Played(System):
    """A system whose files go nowhere."""

    def __init__(self, shell: Shell, packed: Callable[[], bytes]) -> None:
        super().__init__(shell)
        self.unpacked: list[str] = []
        self.collected: list[str] = []
        self._packed = packed

    def unpack(
        self, archive: bytes, directory: str, trees: Sequence[StoredFile], deadline: Deadline
    ) -> None:
        self.unpacked.append(directory)

    def collect(self, directory: str, deadline: Deadline) -> bytes:
        self.collected.append(directory)
        return self._packed()

    def records(self, deadline: Deadline) -> AbstractContextManager[ByteStream]:
        return silent_stream()


@dataclass(kw_only=True)
class Kept:
    """A log that keeps its warnings, and the results that came."""

    warnings: list[str] = field(default_factory=list)
    archives: list[bytes] = field(default_factory=list)


@pytest.fixture
def kept() -> Kept:
    return Kept()


Make = Callable[..., tuple[ShellRun, Played]]


@pytest.fixture
def make(tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes the tests of a system with a real shell; takes a function that packs its results."""
    log = NodeLog("vm1")
    monkeypatch.setattr(log, "warning", lambda _kind, text, **_: kept.warnings.append(text))
    recorder = RunRecorder(log)
    monkeypatch.setattr(recorder, "add_results", kept.archives.append)
    stream = ProcessStream("env PS1='> ' sh -i")
    with Console(stream, Recorder(tmp_path / "console.log")) as console:
        shell = Shell.prepare(console, Deadline.after("the shell", 30.0))

        def made(packed: Callable[[], bytes]) -> tuple[ShellRun, Played]:
            system = Played(shell, packed)
            spec = OverlaySpec(
                node="vm1", role="r", group=[], tests=[TEST], lava_test_dir=str(tmp_path / "lava")
            )
            records = Recorder(tmp_path / "records.log")
            run = ShellRun(
                system=system, spec=spec, recorder=recorder, records_log=records, log=log
            )
            return run, system

        yield made


def soon(token: CancelToken | None = None) -> Deadline:
    return Deadline.after("the test", 30.0, token)


def failing() -> bytes:
    raise InfrastructureError("the disk is full")


def test_results_that_cannot_be_collected_are_a_warning(make: Make, kept: Kept) -> None:
    for packed in (failing, bytes):
        make(packed)[0].collect(soon())

    assert kept.archives == []
    assert [words.rpartition(": ")[2] for words in kept.warnings] == [
        "the disk is full",
        "nothing was packed",
    ]


def test_cancel_while_results_are_collected_ends_the_node(make: Make, kept: Kept) -> None:
    token = CancelToken()

    def canceled() -> bytes:
        token.cancel(Canceled("enough", signal_number=2))
        token.check()
        return b""

    with pytest.raises(Canceled):
        make(canceled)[0].collect(soon(token))
    assert kept.warnings == []


def test_results_of_a_failure_are_collected_beyond_the_deadline(make: Make, kept: Kept) -> None:
    run, _ = make(lambda: b"tar")

    run.collect_after_failure(Deadline.after("the job", 0.0))

    assert kept.archives == [b"tar"]


def test_nothing_is_collected_of_a_canceled_test(make: Make) -> None:
    token = CancelToken()
    token.cancel(Canceled("enough", signal_number=2))
    run, system = make(lambda: b"tar")

    run.collect_after_failure(soon(token))

    assert system.collected == []


def test_trees_without_room_are_refused_before_they_travel(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, system = make(bytes)
    monkeypatch.setattr(shell_run_module, "placed_bytes", lambda _tests: 1 << 60)

    with pytest.raises(JobError, match="are free in .*/lava"):
        run.install([StoredFile(path=tmp_path / "tree.tar", digest="1")], soon())

    assert system.unpacked == []


def test_end_of_a_system_ends_what_belongs_to_it_in_reverse(make: Make) -> None:
    _, system = make(bytes)
    ended: list[str] = []
    for name in ("link", "supervisor", "heartbeat"):
        system.resources.callback(ended.append, name)

    system.close()

    assert ended == ["heartbeat", "supervisor", "link"]
