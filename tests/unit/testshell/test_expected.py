# SPDX-License-Identifier: MIT
"""A test that names its test cases records them all and no others, or fails."""

from __future__ import annotations

from datetime import UTC, datetime

from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.results.model import Outcome, TestCase
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell.events import EndRun, StartRun, TestCaseSignal
from lava_vmgroup.testshell.expected import as_expected
from lava_vmgroup.testshell.runs import RunRecorder

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
DEFINITION = """
metadata: {name: t, format: Lava-Test Test Definition 1.0, description: d}
run: {steps: [lava-test-case tc1 --result pass]}
expected: [tc1, tc2]
"""


def case(name: str, outcome: Outcome, message: str | None = None) -> TestCase:
    return TestCase(name=name, outcome=outcome, message=message, recorded_at=NOW)


def test_case_that_is_missing_or_not_expected_fails() -> None:
    cases = [
        case("tc1", Outcome.PASS),
        case("tc2", Outcome.SKIP),
        case("tc5", Outcome.PASS),
        case("tc6", Outcome.FAIL, "exit code 1"),
    ]

    assert as_expected(cases, ["tc1", "tc2", "tc3", "tc3"], NOW) == [
        *cases[:2],
        case("tc5", Outcome.FAIL, "recorded as pass, and not among the expected test cases"),
        cases[3],
        case("tc3", Outcome.FAIL, "expected, and not recorded"),
    ]


def test_test_that_names_none_may_record_any() -> None:
    cases = [case("tc1", Outcome.PASS)]

    assert as_expected(cases, [], NOW) == cases


def test_run_fails_the_case_that_its_definition_expects_in_vain() -> None:
    definition = parse_definition(DEFINITION, source="x.yaml")
    recorder = RunRecorder(NodeLog("vm1"))
    recorder.expect_tests([OverlayTest(definition=definition, uuid="u1", source=DEFINITION)])
    for event in (
        StartRun(name="t", uuid="u1"),
        TestCaseSignal(test_case_id="tc1", result=Outcome.PASS, reported="pass"),
        EndRun(name="t", uuid="u1"),
    ):
        recorder.event(event)

    (run,) = recorder.runs

    assert [(one.name, one.outcome) for one in run.cases] == [
        ("tc1", Outcome.PASS),
        ("tc2", Outcome.FAIL),
    ]


def test_how_the_scripts_of_a_test_ended_is_no_case_that_it_must_expect() -> None:
    cases = [
        case("lava-test-shell-install", Outcome.PASS),
        case("tc1", Outcome.PASS),
        case("lava-test-shell-run", Outcome.FAIL, "exited with 1"),
    ]

    assert as_expected(cases, ["tc1"], NOW) == cases
