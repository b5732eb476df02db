# SPDX-License-Identifier: MIT
"""Marker lines become events wherever they stand; garbage becomes nothing or `Malformed`."""

from __future__ import annotations

import pytest

from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testshell import events, signals
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall, TestCaseSignal

RESULT = TestCaseSignal(test_case_id="ping", result=Outcome.PASS, reported="pass")
KERNEL = "[   12.345678] usb 1-1: new device"
GOOD = [
    ("<LAVA_TEST_RUNNER>: started", events.RunnerStarted()),
    ("<LAVA_TEST_RUNNER>: exiting lava-test-runner", events.RunnerExited()),
    ("<LAVA_TEST_RUNNER>: returned 137", events.RunnerReturned(status=137)),
    (
        "<LAVA_TEST_RUNNER>: 0_ab-12 installer failed, skipping",
        events.InstallFailed(directory="0_ab-12"),
    ),
    (
        "<LAVA_TEST_RUNNER>: 0_ab-12 installer failed early, skipping",
        events.InstallFailed(directory="0_ab-12", early=True),
    ),
    (
        "<LAVA_TEST_RUNNER>: 0_ab-12 exited with: 127",
        events.TestExited(directory="0_ab-12", return_code=127),
    ),
    (
        "<LAVA_TEST_RUNNER>: 0_ab-12 exited with: unknown",
        events.TestExited(directory="0_ab-12", return_code=None),
    ),
    (
        "<LAVA_TEST_RUNNER>: 0_ab-12 exited with: early",
        events.TestExited(directory="0_ab-12", return_code=0, early=True),
    ),
    ("<LAVA_SIGNAL_STARTRUN smoke ab-12>", events.StartRun(name="smoke", uuid="ab-12")),
    ("<LAVA_SIGNAL_ENDRUN smoke ab-12>", events.EndRun(name="smoke", uuid="ab-12")),
    ("<LAVA_SIGNAL_STARTTC ping>", events.StartTestCase(test_case_id="ping")),
    ("<LAVA_SIGNAL_ENDTC ping>", events.EndTestCase(test_case_id="ping")),
    (
        "<LAVA_SIGNAL_TESTREFERENCE TEST_CASE_ID=a RESULT=fail REFERENCE=https://lab/?x=1>",
        TestCaseSignal(
            test_case_id="a",
            result=Outcome.FAIL,
            reported="fail",
            reference="https://lab/?x=1",
        ),
    ),
    ("<LAVA_SIGNAL_TESTRAISE no network at all>", events.TestRaised(message="no network at all")),
    ("<LAVA_SIGNAL_TESTSET START net>", events.TestSet(name="net")),
    ("<LAVA_SIGNAL_TESTSET STOP>", events.TestSet(name=None)),
    ("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=ping RESULT=pass>", RESULT),
    (
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=copy RESULT=fail UNITS=MB/s MEASUREMENT=12.5>",
        TestCaseSignal(
            test_case_id="copy",
            result=Outcome.FAIL,
            reported="fail",
            units="MB/s",
            measurement="12.5",
        ),
    ),
    (
        "<LAVA_SIGNAL_TESTCASE RESULT=PASS TEST_CASE_ID=a=b>",
        TestCaseSignal(test_case_id="a=b", result=Outcome.PASS, reported="PASS"),
    ),
    (
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a b\x1b[0m RESULT=odd CASE_URL=x>",
        TestCaseSignal(
            test_case_id="a b",
            result=Outcome.UNKNOWN,
            reported="odd",
            doubts=("the name 'a b' has blanks",),
        ),
    ),
    (
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=fail MEASUREMENT= UNITS=s EXTRA=1>",
        TestCaseSignal(
            test_case_id="a",
            result=Outcome.FAIL,
            reported="fail",
            units="s",
            message="the measurement '' is no number",
            doubts=("the measurement '' is no number",),
        ),
    ),
    (
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass RESULT=fail>",
        TestCaseSignal(test_case_id="a", result=Outcome.UNKNOWN, reported="fail or pass"),
    ),
    (
        "<LAVA_SIGNAL_TESTREFERENCE a b fail https://lab/?x=1>",
        TestCaseSignal(
            test_case_id="a b",
            result=Outcome.FAIL,
            reported="fail",
            reference="https://lab/?x=1",
            doubts=("the name 'a b' has blanks",),
        ),
    ),
    (
        "<LAVA_SIGNAL_TESTREFERENCE a pass >",
        TestCaseSignal(
            test_case_id="a",
            result=Outcome.PASS,
            reported="pass",
            message="the reference is empty",
            doubts=("the reference is empty",),
        ),
    ),
    ("<LAVA_SIGNAL_STARTRUN two words ab-12>", events.StartRun(name="two words", uuid="ab-12")),
    ("<LAVA_SIGNAL_ENDTC a b>", events.EndTestCase(test_case_id="a b")),
    ("<LAVA_SIGNAL_STARTTC a\x1b[0m>", events.StartTestCase(test_case_id="a")),
    ("<LAVA_SIGNAL_TESTSET START a b>", events.TestSet(name="a b")),
    ("<LAVA_SIGNAL_TESTSET STOP a>", events.TestSet(name=None)),
    ("<LAVA_SIGNAL_TESTEVENT half done>", events.TestRemark(message="half done")),
    ("<LAVA_SIGNAL_TESTRAISE a <b> c>", events.TestRaised(message="a <b")),
    (
        "<LAVA_MULTI_NODE> <LAVA_SEND ready ip=10.0.0.1 query=a=b empty=>",
        MultiNodeCall(
            api=MultiNodeApi.SEND,
            message_id="ready",
            arguments=("ip=10.0.0.1", "query=a=b", "empty="),
        ),
    ),
    (
        "<LAVA_MULTI_NODE> <LAVA_SEND ready>",
        MultiNodeCall(api=MultiNodeApi.SEND, message_id="ready"),
    ),
    (
        "<LAVA_MULTI_NODE> <LAVA_SYNC booted>",
        MultiNodeCall(api=MultiNodeApi.SYNC, message_id="booted"),
    ),
    (
        "<LAVA_MULTI_NODE> <LAVA_WAIT ready>",
        MultiNodeCall(api=MultiNodeApi.WAIT, message_id="ready"),
    ),
    (
        "<LAVA_MULTI_NODE> <LAVA_WAIT_ALL ready>",
        MultiNodeCall(api=MultiNodeApi.WAIT_ALL, message_id="ready"),
    ),
    (
        "<LAVA_MULTI_NODE> <LAVA_WAIT_ALL ready client>",
        MultiNodeCall(api=MultiNodeApi.WAIT_ALL, message_id="ready", arguments=("client",)),
    ),
]


@pytest.mark.parametrize(("line", "event"), GOOD)
def test_each_marker_becomes_its_event(line: str, event: events.Event) -> None:
    assert signals.parse_signal(line) == event


@pytest.mark.parametrize(("line", "event"), GOOD)
def test_a_marker_may_stand_anywhere_in_the_line(line: str, event: events.Event) -> None:
    assert signals.parse_signal(f"root@vm:~# \x1b[6na <b> {line} \r") == event


def test_the_first_of_several_markers_counts() -> None:
    line = "<LAVA_MULTI_NODE> <LAVA_WAIT b><LAVA_SIGNAL_ENDTC a><LAVA_TEST_RUNNER>: started"

    assert signals.parse_signal(line) == MultiNodeCall(api=MultiNodeApi.WAIT, message_id="b")


def test_a_torn_marker_does_not_hide_the_next() -> None:
    line = "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RES<LAVA_SIGNAL_ENDTC a>"

    assert signals.parse_signal(line) == events.EndTestCase(test_case_id="a")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "<LAVA_",
        "<LAVA>",
        "<lava_signal_starttc a>",
        "<LAVA_TEST_RUNNER>: looking for work in /lava/lava-test-runner.conf",
        "<LAVA_TEST_RUNNER>: running 0_ab under lava-test-shell...",
        "<LAVA_TEST_RUNNER>: calling sync on device",
        "<LAVA_SEND_DEBUG request: ready>",
        "<LAVA_WAIT_COMPLETE a:k=v>",
        "<LAVA_SYNC_COMPLETE>",
        "<LAVA_SIGNAL_START_METADATA_CAPTURE x>",
        "+ printf <LAVA_SIGNAL_%s %s %s>\\n STARTRUN smoke ab-12",
        "\x00\x01\ufffd<<<>>><LAVA_MULTI_NODE>",
    ],
)
def test_other_lines_tell_nothing(line: str) -> None:
    assert signals.parse_signal(line) is None


@pytest.mark.parametrize(
    ("line", "reason", "api"),
    [
        ("<LAVA_SIGNAL_STARTRUN smoke>", "unexpected words for STARTRUN", None),
        ("<LAVA_SIGNAL_STARTTC>", "unexpected words for STARTTC", None),
        ("<LAVA_SIGNAL_TESTSET START>", "unexpected words for TESTSET", None),
        ("<LAVA_SIGNAL_TESTCASE RESULT=pass>", "unexpected words for TESTCASE", None),
        ("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a>", "unexpected words for TESTCASE", None),
        ("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID= RESULT=pass>", "unexpected words for TESTCASE", None),
        (
            "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=not pass>",
            "unexpected words for TESTCASE",
            None,
        ),
        (
            "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass UNITS=[    1.000000] a: b ->",
            "unexpected words for TESTCASE",
            None,
        ),
        ("<LAVA_SIGNAL_TESTSET START a[    1.000000] b ->", "unexpected words for TESTSET", None),
        ("<LAVA_SIGNAL_TESTREFERENCE a>", "unexpected words for TESTREFERENCE", None),
        ("<LAVA_MULTI_NODE> <LAVA_PING a>", "no MultiNode call is named PING", None),
        (
            "<LAVA_MULTI_NODE> <LAVA_WAIT>",
            "unexpected number of words for WAIT",
            MultiNodeApi.WAIT,
        ),
        (
            "<LAVA_MULTI_NODE> <LAVA_WAIT a b>",
            "unexpected number of words for WAIT",
            MultiNodeApi.WAIT,
        ),
        (
            "<LAVA_MULTI_NODE> <LAVA_SYNC a b>",
            "unexpected number of words for SYNC",
            MultiNodeApi.SYNC,
        ),
        (
            "<LAVA_MULTI_NODE> <LAVA_WAIT_ALL a b c>",
            "unexpected number of words for WAIT_ALL",
            MultiNodeApi.WAIT_ALL,
        ),
        ("<LAVA_MULTI_NODE> <LAVA_SEND a b>", "'b' is not KEY=VALUE", MultiNodeApi.SEND),
        ("<LAVA_MULTI_NODE> <LAVA_SEND a =b>", "'=b' is not KEY=VALUE", MultiNodeApi.SEND),
        (
            "<LAVA_MULTI_NODE> <LAVA_SEND a b=\x07>",
            "it has control characters",
            MultiNodeApi.SEND,
        ),
    ],
)
def test_a_marker_that_breaks_the_rules_is_malformed(
    line: str, reason: str, api: MultiNodeApi | None
) -> None:
    expected = events.Malformed(text=line, reason=reason, api=api)

    assert signals.parse_signal(f"noise {line}") == expected


def test_a_marker_without_an_end_is_malformed() -> None:
    event = signals.parse_signal("noise <LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a " + "b" * 5000 + ">")

    assert isinstance(event, events.Malformed)
    assert event.text.startswith("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a ")
    assert len(event.text) < 100
    assert event.reason == "the marker has no end within 4000 characters"


def test_an_endless_call_names_the_helper_that_waits() -> None:
    event = signals.parse_signal("<LAVA_MULTI_NODE> <LAVA_WAIT_ALL rea")

    assert isinstance(event, events.Malformed)
    assert event.api is MultiNodeApi.WAIT_ALL


def test_a_marker_in_a_very_long_line_is_found() -> None:
    assert signals.parse_signal("x" * 1_000_000 + "<LAVA_SIGNAL_ENDTC a>") == events.EndTestCase(
        test_case_id="a"
    )
