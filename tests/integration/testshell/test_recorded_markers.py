# SPDX-License-Identifier: MIT
"""Markers, and words that look like markers, are recorded as their authors meant them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava_vmgroup.results.model import Outcome
from tests.integration.testshell.recorded import one, recorded, told

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node


def test_words_that_look_like_a_markers_change_no_verdict(node: Node) -> None:
    names = (
        "RESULT=pass",
        "a RESULT=pass MEASUREMENT=3",
        "TEST_CASE_ID=b REFERENCE=c",
        "n CHECK=12",
        "trail a=b",
        "no\u00a0blank\u00a0RESULT=pass",
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=evil RESULT=pass>",
        "[   12.345678] BUG at x.c:1",
    )
    run = recorded(
        node,
        *(f"lava-test-case '{name}' --result fail" for name in names),
        "lava-test-case units --result fail --measurement 3 --units 's RESULT=pass'",
        "lava-test-case kernel --result fail --measurement 3 --units '[    1.000000] s'",
        "lava-test-case result --result 'fail RESULT=pass'",
        "lava-test-reference 'r RESULT=pass' --result fail --reference 'https://lab/?RESULT=pass'",
    )

    assert [outcome.value for _, outcome in told(run)] == ["fail"] * 12
    assert [case.name for case in run.cases] == [
        "RESULT_pass",
        "a RESULT_pass MEASUREMENT_3",
        "TEST_CASE_ID_b REFERENCE_c",
        "n CHECK=12",
        "trail a=b",
        "no blank RESULT_pass",
        "_LAVA_SIGNAL_TESTCASE TEST_CASE_ID_evil RESULT_pass_",
        "[ 12.345678] BUG at x.c:1",
        "units",
        "kernel",
        "result",
        "r RESULT_pass",
    ]
    assert one(run, "units").units == "s RESULT_pass"
    assert one(run, "kernel").units == "[ 1.000000] s"
    assert one(run, "r RESULT_pass").reference == "https://lab/?RESULT=pass"


def test_set_with_a_name_like_kernel_text_has_its_cases(node: Node) -> None:
    run = recorded(
        node,
        "lava-test-set start '[   12.345678] kset'",
        "lava-test-case a --result fail",
    )

    assert one(run, "a").test_set == "[ 12.345678] kset"


def test_sets_are_those_that_lava_sees(node: Node) -> None:
    run = recorded(
        node,
        "lava-test-set stop",
        "lava-test-case a --result pass",
        'lava-test-set start one ""',
        "lava-test-case b --result pass",
        'lava-test-set stop ""',
        "lava-test-case c --result pass",
        "lava-test-set start two",
        "lava-test-set start 'three words long'",
        "lava-test-case d --result pass",
        "lava-test-set stop two",
        "lava-test-case e --result pass",
    )

    assert {case.name: case.test_set for case in run.cases} == {
        "a": None,
        "b": "one",
        "c": None,
        "d": "three words long",
        "e": None,
    }


def test_markers_that_an_old_tool_prints_itself_are_kept(node: Node) -> None:
    run = recorded(
        node,
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=with a blank RESULT=fail>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass MEASUREMENT=5 UNITS=>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=b RESULT=pass UNITS=MB / s MEASUREMENT=5>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=c RESULT=pass MEASUREMENT= UNITS= EXTRA=x>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=d<1 RESULT=pass>'",
        "echo '<LAVA_SIGNAL_TESTREFERENCE e fail https://lab/x?y=1>'",
        "echo '<LAVA_SIGNAL_TESTREFERENCE TEST_CASE_ID=f RESULT=pass REFERENCE=https://lab/>'",
        "echo '<LAVA_SIGNAL_TESTSET START the set>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=g RESULT=SKIP>'",
        "echo '<LAVA_SIGNAL_TESTSET STOP the set>'",
        "echo '<LAVA_SIGNAL_TESTFEEDBACK lxc>'",
        "echo '<LAVA_SIGNAL_STARTTC with a blank>'; echo '<LAVA_SIGNAL_ENDTC with a blank>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=h RESULT=>'",
        "printf '%s' 'x <LAVA_SIGNAL_TESTCASE TEST_CASE_ID=i RESULT=pass>'"
        " '<LAVA_SIGNAL_TESTSET START line><LAVA_SIGNAL_TESTCASE TEST_CASE_ID=j RESULT=fail> y'",
    )

    assert told(run) == [
        ("with a blank", Outcome.FAIL),
        ("a", Outcome.PASS),
        ("b", Outcome.PASS),
        ("c", Outcome.PASS),
        ("d<1", Outcome.PASS),
        ("e", Outcome.FAIL),
        ("f", Outcome.PASS),
        ("g", Outcome.SKIP),
        ("h", Outcome.UNKNOWN),
        ("i", Outcome.PASS),
        ("j", Outcome.FAIL),
    ]
    assert (one(run, "a").measurement, one(run, "b").units) == ("5", "MB / s")
    assert (one(run, "e").reference, one(run, "f").reference) == (
        "https://lab/x?y=1",
        "https://lab/",
    )
    assert (one(run, "g").test_set, one(run, "j").test_set) == ("the set", "line")


def test_results_in_lines_without_an_end_are_recorded(node: Node) -> None:
    run = recorded(
        node,
        "printf 'before-set : FAIL'; lava-test-set start s",
        "printf 'before-shell : FAIL'; lava-test-case shell --shell true",
        "printf 'before-echo : FAIL'; echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=echo RESULT=pass>'",
        "printf '<LAVA_SIGNAL_STARTTC x>'; echo 'behind : FAIL'",
        "printf 'at-end : FAIL'",
    )

    assert told(run) == [
        ("before-set", Outcome.FAIL),
        ("before-shell", Outcome.FAIL),
        ("shell", Outcome.PASS),
        ("before-echo", Outcome.FAIL),
        ("echo", Outcome.PASS),
        ("behind", Outcome.FAIL),
        ("at-end", Outcome.FAIL),
    ]
    assert one(run, "before-set").test_set is None
