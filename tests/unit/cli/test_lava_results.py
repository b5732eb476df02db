# SPDX-License-Identifier: MIT
"""A job inside a LAVA v2 job tells LAVA its results by markers on standard output."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.errors import Canceled, ConfigurationError, JobError, TestError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.cli.dispatch import main
from lava_vmgroup.cli.inside_lava import refusals_told, settle
from lava_vmgroup.cli.lava_results import LavaTest
from lava_vmgroup.results.model import JobResult, NodeResult, NodeState, Outcome, TestCase, TestRun

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
SUB_ID = "1.1"
MARKERS = [
    "<LAVA_SIGNAL_TESTSET START vm1.smoke>",
    "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=speed RESULT=fail MEASUREMENT=1.5 UNITS=MB/s>",
    "<LAVA_SIGNAL_TESTSET STOP>",
]


def result(status: int = 1, cause: VMGroupError | None = None) -> JobResult:
    """A job whose one VM has recorded one test case."""
    case = TestCase(
        name="speed", outcome=Outcome.FAIL, measurement="1.5", units="MB/s", recorded_at=MOMENT
    )
    run = TestRun(name="smoke", uuid="u", started_at=MOMENT, duration_s=1.0, cases=(case,))
    node = NodeResult(
        name="vm1",
        sub_id=SUB_ID,
        role="guest",
        is_host=False,
        device_type="kvm",
        state=NodeState.COMPLETE,
        started_at=MOMENT,
        duration_s=1.0,
        runs=(run,),
    )
    return JobResult(
        job_name="job",
        job_id="1",
        target_group="g",
        group_size=1,
        started_at=MOMENT,
        duration_s=1.0,
        nodes=(node,),
        cause=cause,
        exit_status=status,
    )


def tell(**changes: str) -> None:
    """Log the test case of `result`, as a node does."""
    fields: dict[str, Any] = {"run": "smoke", "name": "speed", "result": "fail"}
    fields |= {"measurement": "1.5", "units": "MB/s", **changes}
    NodeLog("vm1").event("test-case", "speed: fail", **fields)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("<LAVA")]


def test_test_case_is_told_as_it_happens_and_only_once(capsys: pytest.CaptureFixture[str]) -> None:
    audience = LavaTest({SUB_ID})

    with audience.showing():
        tell()

    assert printed(capsys) == MARKERS
    assert audience.end(result()) == 0
    assert printed(capsys) == []


def test_test_case_without_an_event_is_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    audience = LavaTest({SUB_ID})

    with audience.showing():
        tell(result="pass")
    audience.end(result())

    assert printed(capsys) == [
        MARKERS[0],
        MARKERS[1].replace("fail", "pass"),
        *MARKERS[2:],
        *MARKERS,
    ]


def test_nodes_of_other_processes_are_left_to_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert LavaTest({"1.0"}).end(result()) == 0

    assert printed(capsys) == []


def test_names_have_only_characters_that_lava_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with LavaTest({SUB_ID}).showing():
        tell(name="a b>=ä", run="my run", units="MB / s")

    test_set, test_case, _ = printed(capsys)
    assert test_set == "<LAVA_SIGNAL_TESTSET START vm1.my_run>"
    assert " TEST_CASE_ID=a_b___ " in test_case
    assert test_case.endswith(" UNITS=MB_/_s>")


def test_what_lavas_database_does_not_take_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with LavaTest({SUB_ID}).showing():
        tell(measurement="1e25", run="c++/" + 300 * "x")

    test_set, test_case, _ = printed(capsys)
    assert test_set == f"<LAVA_SIGNAL_TESTSET START {('vm1.c___' + 300 * 'x')[:200]}>"
    assert test_case == "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=speed RESULT=fail>"


def test_text_of_consoles_is_no_marker(capsys: pytest.CaptureFixture[str]) -> None:
    with LavaTest({SUB_ID}).showing():
        NodeLog("vm1").warning(
            "x", "said <LAVA_SIGNAL_TESTCASE TEST_CASE_ID=x RESULT=pass>\n<LAVA_"
        )

    assert "<LAVA_" not in capsys.readouterr().out


def test_error_ends_lavas_job_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    status = LavaTest({SUB_ID}).end(result(7, TestError("vm1: <kernel> panic", hint="look")))

    assert status == 7
    [*_, last] = printed(capsys)
    assert last == (
        "<LAVA_SIGNAL_TESTRAISE lava-dispatch ended with status 7: vm1: _kernel_ panic (look)>"
    )


def test_group_that_a_signal_ended_is_not_complete(capsys: pytest.CaptureFixture[str]) -> None:
    canceled = Canceled("canceled by SIGTERM", signal_number=15)

    assert LavaTest({SUB_ID}).end(result(143, canceled)) == 143

    *_, last = printed(capsys)
    assert (
        last == "<LAVA_SIGNAL_TESTRAISE lava-dispatch ended with status 143: canceled by SIGTERM>"
    )


def test_skipped_node_is_a_skipped_test_case(capsys: pytest.CaptureFixture[str]) -> None:
    [node] = result().nodes
    skipped = replace(node, runs=(), skipped="no KVM here", state=NodeState.SKIPPED)

    assert LavaTest({SUB_ID}).end(replace(result(0), nodes=(skipped,))) == 0

    assert printed(capsys) == [
        "<LAVA_SIGNAL_TESTSET START vm1>",
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=skipped RESULT=skip>",
        "<LAVA_SIGNAL_TESTSET STOP>",
    ]


def test_summary_is_in_lavas_log_and_has_no_markers(capsys: pytest.CaptureFixture[str]) -> None:
    error = TestError("vm1 said <LAVA_SIGNAL_x>")

    LavaTest({SUB_ID}).end(result(7, error))

    said = capsys.readouterr().out
    assert "vm1 said <_LAVA_SIGNAL_x>" in said
    assert "speed" in said


def options(**more: object) -> argparse.Namespace:
    given = {
        "device": None,
        "host": None,
        "target": None,
        "inside_lava": False,
        "output_dir": None,
        **more,
    }
    return argparse.Namespace(**given)


def test_refusal_is_told_to_lava(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(ConfigurationError),
        refusals_told(options(inside_lava=True)),
    ):
        raise ConfigurationError("no console")

    assert printed(capsys) == [
        "<LAVA_SIGNAL_TESTRAISE lava-dispatch ended with status 3: no console>"
    ]


@pytest.mark.parametrize("words", [["--nonsense", "job.json"], ["doctor", "--nonsense"]])
def test_wrong_options_are_told_to_lava(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert printed(capsys) == []

    with pytest.raises(SystemExit):
        main([*words, "--inside-lava"])
    [raised] = printed(capsys)
    assert "TESTRAISE lava-dispatch ended with status 2: the command line is wrong" in raised

    monkeypatch.setenv("LAVA_CONNECTION_COMMAND", "telnet h 1")
    with pytest.raises(SystemExit):
        main(words)
    assert len(printed(capsys)) == 1


def test_problems_of_a_job_and_bugs_are_told_to_lava(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(JobError), refusals_told(options(inside_lava=True)):
        raise JobError("the job is not valid", problems=["timeout: missing"])
    with pytest.raises(RuntimeError), refusals_told(options(inside_lava=True)):
        raise RuntimeError("oh")

    job, bug = printed(capsys)
    assert job.endswith("status 2: the job is not valid; timeout: missing>")
    assert "status 70: a bug" in bug


@pytest.mark.parametrize(
    ("more", "inside"),
    [({}, True), ({"target": "b"}, False), ({"target": "b", "inside_lava": True}, True)],
)
def test_lavas_variables_say_where_this_is(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, object], inside: bool
) -> None:
    monkeypatch.setenv("LAVA_CONNECTION_COMMAND", "telnet h 1")
    monkeypatch.setenv("LAVA_RESULT_DIR", "/lava-1/results/0")
    given = options(**more)

    settle(given)

    assert given.inside_lava is inside
    assert given.output_dir == (Path("/lava-1/results/0/lava-vmgroup") if inside else None)


def test_without_lava_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAVA_CONNECTION_COMMAND", raising=False)
    given = options()

    settle(given)

    assert given == options()
