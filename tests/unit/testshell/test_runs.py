# SPDX-License-Identifier: MIT
"""Test runs grow from markers, and from the files that come after them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from lava_vmgroup.base.log import LOGGER, NodeLog
from lava_vmgroup.results.model import Outcome, SoftwareSource
from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell.events import (
    EndRun,
    Event,
    InstallFailed,
    StartRun,
    TestCaseSignal,
    TestExited,
    TestSet,
)
from lava_vmgroup.testshell.records import Place, enveloped
from lava_vmgroup.testshell.runs import RunRecorder
from tests.unit.testshell.test_collected import RUN, packed

SOURCE = SoftwareSource(
    project_name="x", branch_vcs="git", branch_url="https://lab/x", branch_revision="abc"
)
TEST = OverlayTest(
    definition=TestDefinition(name="smoke", format="1.0", description="", version="1"),
    uuid="uuid-0",
    source="",
    software=(SOURCE,),
)
BEGIN = StartRun(name="smoke", uuid="uuid-0")
END = EndRun(name="smoke", uuid="uuid-0")


def case(name: str, **fields: Any) -> TestCaseSignal:
    return TestCaseSignal(test_case_id=name, result=Outcome.PASS, reported="pass", **fields)


@pytest.fixture
def recorder() -> RunRecorder:
    recorder = RunRecorder(NodeLog("node"))
    recorder.expect_tests([TEST])
    return recorder


def record(recorder: RunRecorder, *events: object) -> None:
    for event in events:
        recorder.event(event)  # type: ignore[arg-type]


def test_cases_know_the_set_that_is_open(recorder: RunRecorder) -> None:
    record(recorder, BEGIN, case("before"), TestSet(name="net"), case("in"))
    recorder.line("pattern : PASS")
    record(recorder, TestSet(name="disk"), case("next"), TestSet(name=None), case("after"), END)

    (run,) = recorder.runs
    assert {one.name: one.test_set for one in run.cases} == {
        "before": None,
        "in": "net",
        "pattern": "net",
        "next": "disk",
        "after": None,
    }


def numbered(recorder: RunRecorder, number: int, event: Event, *, on_console: bool = False) -> None:
    place = Place(0, number)
    recorder.note_record(place, on_console=on_console)
    recorder.event(event, place)


def sets_of(recorder: RunRecorder) -> dict[str, str | None]:
    (run,) = recorder.runs
    return {one.name: one.test_set for one in run.cases}


def test_sets_that_a_test_prints_itself_begin_among_the_records_beside_the_console(
    recorder: RunRecorder,
) -> None:
    numbered(recorder, 1, BEGIN, on_console=True)
    numbered(recorder, 2, TestSet(name="A"), on_console=True)
    numbered(recorder, 3, case("in"))
    record(recorder, TestSet(name="B"))
    recorder.line("pattern : PASS")
    numbered(recorder, 4, case("inB"))
    record(recorder, TestSet(name=None))
    numbered(recorder, 5, case("after"))
    numbered(recorder, 6, END, on_console=True)

    assert sets_of(recorder) == {"in": "A", "pattern": "B", "inB": "B", "after": None}


def test_record_on_the_console_stands_behind_the_set_that_the_console_had_before(
    recorder: RunRecorder,
) -> None:
    numbered(recorder, 1, BEGIN, on_console=True)
    numbered(recorder, 4, case("overtook"))
    record(recorder, TestSet(name="B"))
    recorder.line("pattern : PASS")
    numbered(recorder, 2, TestSet(name="C"), on_console=True)
    numbered(recorder, 3, TestSet(name=None), on_console=True)

    assert sets_of(recorder) == {"pattern": "B", "overtook": None}


def test_warnings_of_many_results_do_not_fill_the_log(
    recorder: RunRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    told = [case(f"c{number}", doubts=("odd",)) for number in range(200)]

    record(recorder, BEGIN, *told)

    assert len(recorder.runs[0].cases) == 200
    assert [one.message for one in caplog.records if one.levelname == "WARNING"] == [
        *(f"test case c{number}: odd" for number in range(50)),
        "further test cases with words that cannot be used are not told",
    ]


def test_a_set_ends_with_its_run(recorder: RunRecorder) -> None:
    record(recorder, BEGIN, TestSet(name="net"), TestExited(directory="0_uuid-0", return_code=1))
    record(recorder, BEGIN, case("again"))

    (run,) = recorder.runs
    assert run.cases[-1].test_set is None


@pytest.mark.parametrize(
    ("end", "name", "message"),
    [
        (
            TestExited(directory="0_uuid-0", return_code=0, early=True),
            "lava-test-shell-run",
            "its steps ended with exit code 0 before the last one",
        ),
        (
            TestExited(directory="0_uuid-0", return_code=None),
            "lava-test-shell-run",
            "its exit code is not known: lava-test-shell, which runs the steps, was killed, "
            "or the disk is full",
        ),
        (TestExited(directory="0_uuid-0", return_code=3), "lava-test-shell-run", "exit code 3"),
        (
            InstallFailed(directory="0_uuid-0", early=True),
            "lava-test-shell-install",
            "the install steps ended before the last one",
        ),
        (
            InstallFailed(directory="0_uuid-0"),
            "lava-test-shell-install",
            "the install steps failed",
        ),
    ],
)
def test_script_that_did_not_end_well_is_a_failed_case_that_says_why(
    recorder: RunRecorder, end: Event, name: str, message: str
) -> None:
    record(recorder, end)

    (run,) = recorder.runs
    (case,) = run.cases
    assert (case.name, case.outcome, case.message) == (name, Outcome.FAIL, message)
    assert not run.finished


def test_run_whose_end_was_lost_is_finished_when_its_script_came_to_its_end(
    recorder: RunRecorder,
) -> None:
    record(recorder, BEGIN, case("a"), TestExited(directory="0_uuid-0", return_code=0))

    (run,) = recorder.runs
    assert run.finished
    assert [one.outcome for one in run.cases] == [Outcome.PASS]


def test_a_case_keeps_its_reference_and_message(recorder: RunRecorder) -> None:
    record(recorder, BEGIN, case("a", reference="https://lab/x", message="why"))

    (run,) = recorder.runs
    assert (run.cases[0].reference, run.cases[0].message) == ("https://lab/x", "why")


def test_a_run_knows_its_sources_before_anything_comes_back(recorder: RunRecorder) -> None:
    record(recorder, BEGIN)

    (run,) = recorder.runs
    assert run.software.sources == (SOURCE,)


def test_results_on_the_console_count_and_others_are_appended(recorder: RunRecorder) -> None:
    record(recorder, BEGIN, case("told"), END)

    recorder.add_results(
        packed(
            {
                f"{RUN}/results/told/result": b"fail\n",
                f"{RUN}/results/written/result": b"skip\n",
                f"{RUN}/results/written/measurement": b"5\n",
                f"{RUN}/results/written/units": b"s\n",
                f"{RUN}/results/odd/result": b"maybe\n",
            }
        )
    )

    (run,) = recorder.runs
    assert [(one.name, one.outcome, one.measurement, one.units) for one in run.cases] == [
        ("told", Outcome.PASS, None, None),
        ("odd", Outcome.UNKNOWN, None, None),
        ("written", Outcome.SKIP, "5", "s"),
    ]
    assert run.cases[1].message == "the test reported 'maybe'"
    assert run.finished


def test_attachments_go_to_the_last_case_of_their_name(recorder: RunRecorder) -> None:
    record(recorder, BEGIN, case("a"), case("b"), case("a"), END)

    recorder.add_results(
        packed(
            {
                f"{RUN}/results/a/attachments/note": b"x",
                f"{RUN}/attachments/whole": b"y",
                f"{RUN}/extra_metadata": b"version: found\nmore: x\n",
                f"{RUN}/swcontext/build.txt": b"Some System 1\n",
                f"{RUN}/swcontext/pkgs.txt": b"package: bash : 5\n",
            }
        )
    )

    (run,) = recorder.runs
    assert [[file.pathname for file in one.attachments] for one in run.cases] == [[], [], ["note"]]
    assert [file.content for file in run.attachments] == [b"y"]
    assert (run.metadata["version"], run.metadata["more"]) == ("found", "x")
    assert (run.software.image, run.software.packages) == ("Some System 1", (("bash", "5"),))


def test_a_run_that_no_marker_told_of_is_there_all_the_same(recorder: RunRecorder) -> None:
    recorder.add_results(packed({f"{RUN}/results/a/result": b"pass\n"}))

    (run,) = recorder.runs
    assert [one.name for one in run.cases] == ["a"]
    assert not run.finished


def test_files_of_tests_that_nobody_asked_for_are_ignored(recorder: RunRecorder) -> None:
    recorder.add_results(packed({"0_other-1700000000/results/a/result": b"pass\n"}))

    assert recorder.runs == ()


def test_what_was_not_collected_is_in_the_log(
    recorder: RunRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, LOGGER.name):
        recorder.add_results(packed({"left-out": b"9000000 0_x-1/attachments/large\n"}))

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "too large to be collected: 9000000 0_x-1/attachments/large" in caplog.text


def test_tests_whose_end_was_never_reported_have_failed(recorder: RunRecorder) -> None:
    torn, absent, found, installed = (
        replace(TEST, uuid=f"uuid-{number}") for number in range(1, 5)
    )
    tests = [TEST, torn, absent, found, installed]
    recorder.expect_tests(tests[1:])
    record(recorder, BEGIN, case("a"), END)
    for test in (torn, found):
        record(recorder, StartRun(name="smoke", uuid=test.uuid), case("a"))
    record(recorder, InstallFailed(directory="4_uuid-4"))
    end = f"<LAVA_SIGNAL_ENDRUN smoke {found.uuid}>"
    records = f"{enveloped(Place(3, 2), end)}\n".encode()
    recorder.add_results(packed({f"3_{found.uuid}-1700000000/records.log": records}))

    recorder.close_tests(tests)

    told = {
        run.uuid: [(one.name, one.outcome.value, one.message) for one in run.cases]
        for run in recorder.runs
    }
    passed, ending = ("a", "pass", None), "lava-test-shell-run"
    assert told == {
        TEST.uuid: [passed],
        torn.uuid: [passed, (ending, "fail", "its end was never reported")],
        absent.uuid: [(ending, "fail", "its steps never ran")],
        found.uuid: [passed],
        installed.uuid: [("lava-test-shell-install", "fail", "the install steps failed")],
    }
