# SPDX-License-Identifier: MIT
"""Records of tests go beside the console if they can, else by the console."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.results.model import TestRun
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell.calls import GroupSide
from lava_vmgroup.testshell.feed import Feed
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.session import Session
from tests.integration.testshell.test_flood import Group

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """A test's run and the texts of its two channels."""

    run: TestRun
    sent: list[str]
    console: str
    records: str

    @property
    def cases(self) -> list[tuple[str, str, str | None]]:
        """By their names: what the console shows may be told before what is recorded beside it."""
        cases = sorted(self.run.cases, key=lambda case: case.name)
        return [(case.name, case.outcome.value, case.test_set) for case in cases]


class Disturbed:
    """A stream of which something else is read than what it has."""

    def __init__(self, stream: ByteStream, disturb: Callable[[bytes], bytes]) -> None:
        self._stream = stream
        self._disturb = disturb

    def read(self) -> bytes:
        while data := self._stream.read():
            if left := self._disturb(data):
                return left
        return b""

    def write(self, data: bytes, deadline: Deadline) -> None:
        raise AssertionError("nothing is written beside the console")

    def close(self) -> None:
        self._stream.close()


def run(
    node: Node,
    *steps: str,
    disturb: Callable[[bytes], bytes] = lambda data: data,
    pattern: str | None = None,
    records: Path | None = None,
) -> Told:
    """Run a test of these steps on a node whose channel is a file."""
    file = records or node.root / "records"
    if records is None:
        file.touch()
    definition = {
        "metadata": {"name": "beside", "format": "1.0", "description": ""},
        "run": {"steps": list(steps)},
        **({} if pattern is None else {"parse": {"pattern": pattern}}),
    }
    text = yaml.safe_dump(definition)
    node.unpack(text, records_file=str(file))
    group, log = Group(), NodeLog("vm1")
    recorder = RunRecorder(log)
    parsed = parse_definition(text, source="test")
    recorder.expect_tests([OverlayTest(definition=parsed, uuid="uuid-0", source=text)])
    path = node.environment["PATH"]
    terminal = ProcessStream(f"env -i PATH={path} LAVA_REPEAT_PAUSE=0.3 PS1=# {node.shell} -i")
    deadline = Deadline.after("the test", LIMIT_S)
    beside = Disturbed(ProcessStream(f"tail -c +1 -f {file}"), disturb)
    with Console(terminal, Recorder(node.root / "console.log")) as console:
        shell = Shell.prepare(console, deadline)
        with Feed(beside, console, Recorder(node.root / "records.log")) as feed:
            served = Session(shell, recorder, GroupSide(group.answer), log, feed)
            served.run(f"{node.bin}/lava-test-runner {node.directory}", deadline)
    (told,) = recorder.runs
    return Told(
        run=told,
        sent=group.sent,
        console=(node.root / "console.log").read_text(),
        records=(node.root / "records.log").read_text(),
    )


STEPS = (
    "lava-test-set start net",
    "lava-test-case a --shell true",
    "echo 'measured b: fail'",
    "lava-test-set stop",
    "lava-test-reference c --result fail --reference https://lab/1",
    "lava-send short n=1",
    "lava-send long 'text=two words'",
    "lava-wait there",
    "lava-sync end",
    "lava-test-case d --result pass",
)
PATTERN = "measured (?P<test_case_id>[a-z]): (?P<result>[a-z]+)"
CASES = [("a", "pass", "net"), ("b", "fail", "net"), ("c", "fail", None), ("d", "pass", None)]
SENT = ["short n=1", "long text=two words", "there", "end"]


def names_in(text: str) -> list[tuple[str, str]]:
    """The test cases and calls whose records are in a text."""
    return re.findall(r"TEST_CASE_ID=(\w+) RESULT|MULTI_NODE> <LAVA_(\w+?)(?:_PART)? ", text)


def test_results_and_calls_go_beside_the_console(node: Node) -> None:
    told = run(node, *STEPS, pattern=PATTERN)

    assert told.cases == CASES
    assert told.sent == SENT
    assert told.run.missing_records == 0
    beside = [case or call for case, call in names_in(told.records)]
    assert beside == ["a", "c", "SEND", "SEND", "WAIT", "SYNC", "d"]
    answers = {"SETTLE", "WANT"}
    assert {call for _, call in names_in(told.console)} == answers
    assert "LAVA_SIGNAL_TESTCASE" not in told.console


def test_records_that_the_console_overtakes_are_waited_for(node: Node) -> None:
    def late(data: bytes) -> bytes:
        time.sleep(0.3)
        return data

    told = run(node, *STEPS, pattern=PATTERN, disturb=late)

    assert told.cases == CASES
    assert "LAVA_SIGNAL_TESTCASE" not in told.console


def test_what_gets_lost_beside_the_console_comes_by_it(node: Node) -> None:
    told = run(node, *STEPS, pattern=PATTERN, disturb=lambda _: b"")

    assert told.cases == CASES
    assert told.sent == SENT
    assert told.run.missing_records == 0
    assert "LAVA_SIGNAL_TESTCASE" in told.console


def test_channel_that_takes_nothing_is_done_without(node: Node) -> None:
    full = Path("/dev/full")

    told = run(node, *STEPS, pattern=PATTERN, records=full)

    assert told.cases == CASES
    assert told.sent == SENT
    assert told.console.index("TEST_CASE_ID=d ") < told.console.index("SIGNAL_ENDRUN")


def test_error_that_a_test_raises_comes_after_its_results(node: Node) -> None:
    def late(data: bytes) -> bytes:
        time.sleep(0.3)
        return data

    with pytest.raises(Exception, match="the test raised an error: no network"):
        run(node, "lava-test-case a --result pass", "lava-test-raise no network", disturb=late)

    beside = (node.root / "records.log").read_text()
    assert beside.index("TEST_CASE_ID=a ") < beside.index("TESTRAISE")


@pytest.mark.parametrize("node", ["dash"], indirect=True)
def test_hostile_lines_do_no_harm(node: Node) -> None:
    noise = r"head -c 200000 /dev/zero | tr '\\000' x >>$LAVA_RECORDS; "
    noise += r"printf '\\377<0.9<LAVA_SIGNAL_ENDRUN x CHECK=1>\\n\\n\\000\\n' >>$LAVA_RECORDS"

    told = run(node, f"for n in 1 2 3 4 5; do {noise}; done", *STEPS, pattern=PATTERN)

    assert told.cases == CASES
    assert told.run.missing_records == 0
