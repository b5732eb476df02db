# SPDX-License-Identifier: MIT
"""Markers that the kernel tore are mended, and tell when they are not."""

from __future__ import annotations

import pytest

from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testshell import events, signals
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall, TestCaseSignal

RESULT = TestCaseSignal(test_case_id="ping", result=Outcome.PASS, reported="pass")
KERNEL = "[   12.345678] usb 1-1: new device"


@pytest.mark.parametrize(
    "cut", range(1, len("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=ping RESULT=pass>"))
)
def test_a_result_torn_by_the_kernel_is_mended_wherever_it_is_torn(cut: int) -> None:
    marker = "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=ping RESULT=pass>"
    parser = signals.SignalParser()

    told = [parser.feed(line) for line in (f"# {marker[:cut]}{KERNEL}", KERNEL, marker[cut:])]

    assert told == [None, None, RESULT]


@pytest.mark.parametrize("cut", range(1, len("<LAVA_MULTI_NODE> <LAVA_WAIT ready>")))
def test_a_call_torn_by_the_kernel_is_mended_wherever_it_is_torn(cut: int) -> None:
    marker = "<LAVA_MULTI_NODE> <LAVA_WAIT ready>"
    parser = signals.SignalParser()

    told = [parser.feed(line) for line in (f"{marker[:cut]}{KERNEL}", marker[cut:])]

    assert told == [None, MultiNodeCall(api=MultiNodeApi.WAIT, message_id="ready")]


def test_the_runners_end_torn_by_the_kernel_is_mended() -> None:
    parser = signals.SignalParser()

    told = [
        parser.feed(line) for line in (f"<LAVA_TEST_RUNNER>: exi{KERNEL}", "ting lava-test-runner")
    ]

    assert told == [None, events.RunnerExited()]


def test_a_result_torn_twice_is_mended() -> None:
    lines = (
        f"<LAVA_SIGNAL_TESTCASE TEST_CASE_{KERNEL}",
        f"ID=ping RES{KERNEL}",
        "ULT=pass>",
    )
    parser = signals.SignalParser()

    assert [parser.feed(line) for line in lines] == [None, None, RESULT]


def test_a_line_after_a_tear_that_does_not_mend_it_counts_by_itself() -> None:
    parser = signals.SignalParser()

    told = [
        parser.feed(line)
        for line in (
            f"<LAVA_SIGNAL_TESTCASE TEST{KERNEL}",
            "<LAVA_SIGNAL_ENDTC a>",
            "_ID=b RESULT=pass>",
        )
    ]

    assert told == [None, events.EndTestCase(test_case_id="a"), None]


def test_a_tear_that_is_never_mended_is_told() -> None:
    parser = signals.SignalParser()

    told = [parser.feed(line) for line in (f"<LAVA_SIGNAL_TESTCASE TEST{KERNEL}", "hello")]

    assert isinstance(told[1], events.Malformed)


def test_a_marker_among_kernel_lines_within_a_tear_is_not_lost() -> None:
    parser = signals.SignalParser()

    told = [parser.feed(line) for line in (f"<LAVA_SIG{KERNEL}", f"{KERNEL}<LAVA_SIGNAL_ENDTC a>")]

    assert told == [None, events.EndTestCase(test_case_id="a")]


def test_kernel_text_beside_a_whole_marker_changes_nothing() -> None:
    lines = (
        f"{KERNEL} <LAVA_SIGNAL_ENDTC a>",
        f"<LAVA_SIGNAL_ENDTC b>{KERNEL}",
        f"<LAVA_TEST_RUNNER>: exiting lava-test-runner{KERNEL}",
    )
    parser = signals.SignalParser()

    assert [parser.feed(line) for line in lines] == [
        events.EndTestCase(test_case_id="a"),
        events.EndTestCase(test_case_id="b"),
        events.RunnerExited(),
    ]


def test_a_malformed_marker_beside_no_kernel_text_is_told_at_once() -> None:
    event = signals.SignalParser().feed("<LAVA_SIGNAL_STARTTC>")

    assert isinstance(event, events.Malformed)


def test_a_torn_line_does_not_swallow_the_lines_after() -> None:
    parser = signals.SignalParser()

    lines = (f"a < b{KERNEL}", f"<{KERNEL}", "x", "LAVA_SIGNAL_ENDTC a>")

    assert [parser.feed(line) for line in lines] == [None] * 4


OUTPUTS = {
    "record": (["boot : FAIL<1.2<LAVA_SIGNAL_ENDRUN a b CHECK=1>"], ["boot : FAIL"]),
    "marker": (["boot : FAIL<LAVA_SIGNAL_ENDTC a>"], ["boot : FAIL"]),
    "call": (["boot : FAIL<LAVA_MULTI_NODE> <LAVA_WAIT a>"], ["boot : FAIL"]),
    "runner": (["boot : FAIL<LAVA_TEST_RUNNER>: exiting"], ["boot : FAIL"]),
    "no marker": (["boot : FAIL"], ["boot : FAIL"]),
    "torn marker": ([f"boot : FAIL<LAVA_SIG{KERNEL}", "NAL_ENDTC a>"], ["boot : FAIL", ""]),
    "torn record": ([f"b : FAIL<1.2<LA{KERNEL}", "VA_X CHECK=1>"], ["b : FAIL", ""]),
    "torn head": ([f"b : FAIL<1.{KERNEL}", "2<LAVA_X CHECK=1>"], ["b : FAIL", ""]),
    "torn twice": (
        [f"x : FAIL<LAVA{KERNEL}", f"_SIGNAL_E{KERNEL}", "NDTC a>"],
        ["x : FAIL", "", ""],
    ),
    "never mended": ([f"<LAVA_SIGNAL_TESTCASE TEST{KERNEL}", "boot : FAIL"], ["", "boot : FAIL"]),
    "never mended record": ([f"<0.1<LAVA_SIG{KERNEL}", "boot : FAIL"], ["", "boot : FAIL"]),
    "marker after a tear": (
        [f"<LAVA_SIG{KERNEL}", "boot : FAIL<LAVA_SIGNAL_ENDTC a>"],
        ["", "boot : FAIL"],
    ),
    "torn kernel line": (["b : FAIL[   12.345678] x : PASS<LAVA_SIGNAL_ENDTC a>"], ["b : FAIL"]),
}


@pytest.mark.parametrize(("lines", "outputs"), OUTPUTS.values(), ids=OUTPUTS)
def test_text_in_front_of_a_marker_is_output_of_the_test(
    lines: list[str], outputs: list[str]
) -> None:
    parser = signals.SignalParser()

    seen = []
    for line in lines:
        parser.feed(line)
        seen.append(parser.output)

    assert seen == outputs


def test_text_behind_a_marker_is_a_piece_of_its_own() -> None:
    marker = "<LAVA_SIGNAL_STARTTC a>"

    assert signals.single_markers(f"{marker}boot : FAIL") == [marker, "boot : FAIL"]
    assert signals.single_markers("") == [""]


def test_kernel_text_behind_the_end_that_it_gave_a_marker_stays_with_it() -> None:
    marker = "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=ping RES"
    parser = signals.SignalParser()

    told = [
        parser.feed(piece)
        for line in (f"{marker}[   12.345678] usb <number 2> found", "ULT=pass>")
        for piece in signals.single_markers(line)
    ]

    assert told == [None, RESULT]
