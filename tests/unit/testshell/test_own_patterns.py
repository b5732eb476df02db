# SPDX-License-Identifier: MIT
"""Results that a test prints in its own words, by a definition's pattern or LAVA's own."""

from __future__ import annotations

import re

import pytest

from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testdefs.definition import DEFAULT_FIXUPS, ParseRules, TestDefinition
from lava_vmgroup.testshell import patterns
from lava_vmgroup.testshell.events import TestCaseSignal


def definition(pattern: str, fixups: dict[str, str] | None = None) -> TestDefinition:
    """A definition with a pattern of its own."""
    return TestDefinition(
        name="own",
        format="1.0",
        description="",
        parse=ParseRules(
            pattern=UserPattern(pattern, re.MULTILINE),
            fixups=DEFAULT_FIXUPS if fixups is None else fixups,
        ),
    )


OWN = (
    r"(?P<test_case_id>\S+): (?P<result>\w+)"
    r"(?: (?P<measurement>\S+) (?P<units>\S+))?(?P<message>.*)"
)


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (
            "  a: PASS\r",
            TestCaseSignal(test_case_id="a", result=Outcome.PASS, reported="PASS"),
        ),
        (
            "a: skip 5 ms",
            TestCaseSignal(
                test_case_id="a",
                result=Outcome.SKIP,
                reported="skip",
                measurement="5",
                units="ms",
            ),
        ),
        (
            "a: strange",
            TestCaseSignal(test_case_id="a", result=Outcome.UNKNOWN, reported="strange"),
        ),
        ("this is a: PASS", None),
        ("nothing", None),
    ],
)
def test_a_definitions_own_pattern_gives_results(line: str, result: TestCaseSignal | None) -> None:
    assert patterns.parse_line(definition(OWN), line) == result


def test_fixups_translate_the_tests_own_words_and_come_before_lavas() -> None:
    own = definition(OWN, {"OK": "pass", "BAD": "fail", "SKIP": "fail", "pass": "fail"})
    words = ("OK", "BAD", "PASS", "SKIP", "pass", "Pass")

    told = [patterns.parse_line(own, f"a: {word}") for word in words]

    assert [event.result.value for event in told if event] == [
        *("pass", "fail", "pass", "fail", "fail", "unknown")
    ]


def test_a_match_without_an_id_is_no_result() -> None:
    assert patterns.parse_line(definition("(?P<test_case_id>x)?(?P<result>.+)"), "PASS") is None


@pytest.mark.parametrize(
    "line",
    [
        "copy: FAIL",
        "10%\r50%\rcopy: FAIL\r",
        "copy: FAIL\r          \r",
        "".join(f"\r{percent}%" for percent in range(999)) + "\rcopy: FAIL",
    ],
)
def test_progress_on_the_same_line_hides_no_result(line: str) -> None:
    own = definition("^(?P<test_case_id>[a-z]+): (?P<result>PASS|FAIL)$")

    (found,) = patterns.results_in(own, line)

    assert (found.test_case_id, found.result) == ("copy", Outcome.FAIL)


def test_each_result_between_carriage_returns_counts_and_of_one_case_the_last() -> None:
    own = definition("^(?P<test_case_id>[a-z]+): (?P<result>PASS|FAIL)$")

    found = patterns.results_in(own, "x: FAIL\ry: FAIL\ry: PASS\r")

    assert {one.test_case_id: one.result for one in found} == {"x": Outcome.FAIL, "y": Outcome.PASS}


def test_a_pattern_is_not_tried_beyond_its_limit() -> None:
    own = definition("(?P<test_case_id>a)x*(?P<result>PASS)")

    assert patterns.parse_line(own, "a" + "x" * 900 + "PASS") is not None
    assert patterns.parse_line(own, "a" + "x" * 1000 + "PASS") is None


@pytest.mark.parametrize(
    ("line", "name", "result"),
    [
        ("a : PASS", "a", Outcome.PASS),
        ("net ping  :  fail", "net ping", Outcome.FAIL),
        ("  a : b : SKIP (no reason)", "a : b", Outcome.SKIP),
        ("x : unknown", "x", Outcome.UNKNOWN),
    ],
)
def test_without_a_pattern_lavas_own_gives_results(line: str, name: str, result: Outcome) -> None:
    plain = TestDefinition(name="plain", format="1.0", description="")

    signal = patterns.parse_line(plain, line)

    assert signal is not None
    assert (signal.test_case_id, signal.result) == (name, result)


@pytest.mark.parametrize("line", ["a: PASS", ": PASS", "a : Pass", "PASS : a"])
def test_other_lines_give_no_results(line: str) -> None:
    plain = TestDefinition(name="plain", format="1.0", description="")

    assert patterns.parse_line(plain, line) is None
