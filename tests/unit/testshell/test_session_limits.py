# SPDX-License-Identifier: MIT
"""A console that says more than a test shell would costs neither room nor threads."""

from __future__ import annotations

import logging
import os
import threading
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import PeerFailed
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.stream import FdStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.results.model import TestRun
from lava_vmgroup.testshell import calls, run, runs
from lava_vmgroup.testshell.calls import GroupSide
from lava_vmgroup.testshell.events import MultiNodeCall
from lava_vmgroup.testshell.feed import FedLine, Feed
from lava_vmgroup.testshell.records import Place, enveloped
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.session import Session
from tests.support.scripted import PlayedShell
from tests.unit.testshell.test_records import TEST

END = b"<LAVA_TEST_RUNNER>: exiting runner\n"


def at_once(*_: object) -> None:
    """Answers every call."""


def serve(
    lines: Iterable[str], tmp_path: Path, answer: calls.Answer = at_once
) -> tuple[tuple[TestRun, ...], PlayedShell]:
    """Return the results of a test shell that prints these lines, and its console."""
    text = "".join(f"{line}\r\n" for line in lines)
    stream, log = PlayedShell([[text.encode(), END]]), NodeLog("vm1")
    recorder = RunRecorder(log)
    recorder.expect_tests([TEST])
    with Console(stream, Recorder(tmp_path / "console.log")) as console:
        served = Session(Shell(console), recorder, GroupSide(answer), log)
        served.run("lava-test-runner", Deadline.after("the test", 60.0))
    return recorder.runs, stream


def record(number: int, marker: str, test: int = 0) -> str:
    return enveloped(Place(test, number), f"<LAVA_{marker}>")


START = record(1, "SIGNAL_STARTRUN smoke uuid-0")


def test_calls_beyond_the_limit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_MAX_CALLS", 3)
    waiting: list[MultiNodeCall] = []

    def never(call: MultiNodeCall, token: CancelToken, deadline: Deadline, _: object) -> None:
        waiting.append(call)
        token.wait(deadline.remaining_s)
        token.check()

    lines = [START, *(f"<LAVA_MULTI_NODE> <LAVA_SYNC s{number}>" for number in range(10))]
    _, stream = serve(lines, tmp_path, never)

    assert len(waiting) == 3
    assert stream.typed.count(b"<LAVA_SYNC_COMPLETE nack>") == 7


def test_broken_markers_are_told_until_it_is_enough(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    serve(["<LAVA_SIGNAL_TESTCASE >", "<0.7<LAVA_SIGNAL_X CHECK=1>"] * 5000, tmp_path)

    told = [one for one in caplog.records if getattr(one, "kind", "") in ("malformed", "records")]
    assert 10 < len(told) < 100
    assert "are not told" in told[-1].getMessage()


def test_records_of_tests_that_there_are_not_are_nothing(tmp_path: Path) -> None:
    case = "SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass"
    settle = "MULTI_NODE> <LAVA_SETTLE"

    ((run,), stream) = serve([START, record(2, case, 1), record(3, settle, 9999)], tmp_path)

    assert run.cases == ()
    assert b"SETTLE" not in stream.typed


def test_a_record_with_a_great_number_costs_nothing(tmp_path: Path) -> None:
    case = "SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass"
    settle = "MULTI_NODE> <LAVA_SETTLE"

    tracemalloc.start()
    try:
        ((run,), stream) = serve([START, record(999_998, case), record(999_999, settle)], tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 10 << 20
    assert [case.name for case in run.cases] == ["a"]
    assert run.missing_records == 999_996
    asked = stream.typed.partition(b"<LAVA_SETTLE_COMPLETE")[2].partition(b"CHECK")[0].split()
    assert asked == [b"%d" % number for number in range(2, 102)]


def test_results_beyond_the_limit_are_counted_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (run, runs):
        monkeypatch.setattr(module, "MAX_RESULTS", 10)
    cases = (
        record(number, f"SIGNAL_TESTCASE TEST_CASE_ID=c{number} RESULT=pass")
        for number in range(2, 32)
    )

    ((found,), _) = serve([START, *cases], tmp_path)

    assert [case.name for case in found.cases] == [f"c{number}" for number in range(2, 12)]
    assert found.missing_records == 20
    assert [one.message for one in caplog.records].count("only the first 10 results are kept") == 1


def test_a_flood_does_not_hold_a_cancel_up_and_hides_no_record_beside_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = CancelToken()
    recorder, log = RunRecorder(NodeLog("vm1")), NodeLog("vm1")
    recorder.expect_tests([TEST])
    case = "SIGNAL_TESTCASE TEST_CASE_ID={} RESULT=pass"
    lines = [START, record(2, case.format("before")), "<LAVA_MULTI_NODE> <LAVA_SYNC flooded>"]
    flood = [b"y\r\n" * 20_000] * 200
    stream = PlayedShell([["".join(f"{line}\r\n" for line in lines).encode(), *flood]])

    def cancel(*_: object) -> None:
        for pump in (thread for thread in threading.enumerate() if thread.name == "console"):
            pump.join()
        console.post(FedLine(record(3, case.format("beside"))))
        token.cancel(PeerFailed("the host died"))

    with Console(stream, Recorder(tmp_path / "console.log")) as console:
        served = Session(Shell(console), recorder, GroupSide(cancel), log)
        with pytest.raises(PeerFailed):
            served.run("lava-test-runner", Deadline.after("the test", 60.0, token))

    (found,) = recorder.runs
    assert [one.name for one in found.cases] == ["before", "beside"]
    assert "were not searched for results: the limit of 2 s has passed" in caplog.text


def test_end_of_the_tests_is_heard_while_records_are_waited_for(tmp_path: Path) -> None:
    lines = [START, record(3, "MULTI_NODE> <LAVA_SETTLE"), END.decode().strip()]
    stream = PlayedShell([["".join(f"{line}\r\n" for line in lines).encode(), END]])
    recorder, log = RunRecorder(NodeLog("vm1")), NodeLog("vm1")
    recorder.expect_tests([TEST])
    silent, open_end = os.pipe()
    with (
        Console(stream, Recorder(tmp_path / "console.log")) as console,
        Feed(FdStream(silent), console, Recorder(tmp_path / "records.log")) as feed,
    ):
        served = Session(Shell(console), recorder, GroupSide(at_once), log, feed)
        served.run("lava-test-runner", Deadline.after("the test", 60.0))
    os.close(open_end)

    assert b"SETTLE" not in stream.typed
