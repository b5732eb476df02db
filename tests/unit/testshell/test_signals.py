# SPDX-License-Identifier: MIT
"""Marker lines become events wherever they stand; garbage becomes nothing or `Malformed`."""

from __future__ import annotations

import re

import pytest

from lava_vmgroup.errors import MultiNodeError
from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testshell import events, parts, replies, signals
from lava_vmgroup.testshell.definition import DEFAULT_FIXUPS, ParseRules, TestDefinition
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall, TestCaseSignal
from lava_vmgroup.testshell.pattern import UserPattern

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
        "<LAVA_TEST_RUNNER>: 0_ab-12 exited with: 127",
        events.TestExited(directory="0_ab-12", return_code=127),
    ),
    (
        "<LAVA_TEST_RUNNER>: 0_ab-12 exited with: unknown",
        events.TestExited(directory="0_ab-12", return_code=None),
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
        TestCaseSignal(test_case_id="a=b", result=Outcome.UNKNOWN, reported="PASS"),
    ),
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
        ("<LAVA_SIGNAL_ENDRUN a b c>", "unexpected words for ENDRUN", None),
        ("<LAVA_SIGNAL_STARTTC>", "unexpected words for STARTTC", None),
        ("<LAVA_SIGNAL_ENDTC a b>", "unexpected words for ENDTC", None),
        ("<LAVA_SIGNAL_TESTSET START>", "unexpected words for TESTSET", None),
        ("<LAVA_SIGNAL_TESTCASE RESULT=pass>", "unexpected words for TESTCASE", None),
        ("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a>", "unexpected words for TESTCASE", None),
        (
            "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a b RESULT=pass>",
            "unexpected words for TESTCASE",
            None,
        ),
        ("<LAVA_SIGNAL_STARTTC a\x1b[0m>", "it has control characters", None),
        ("<LAVA_MULTI_NODE> <LAVA_PING a>", "no MultiNode call is named PING", None),
        (
            "<LAVA_MULTI_NODE> <LAVA_WAIT>",
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
    assert signals.parse_line(definition(OWN), line) == result


def test_fixups_translate_the_tests_own_words() -> None:
    own = definition(OWN, {"OK": "pass", "BAD": "fail"})

    told = [signals.parse_line(own, line) for line in ("a: OK", "a: BAD", "a: PASS")]

    assert [event.result for event in told if event] == [
        Outcome.PASS,
        Outcome.FAIL,
        Outcome.UNKNOWN,
    ]


def test_a_match_without_an_id_is_no_result() -> None:
    assert signals.parse_line(definition("(?P<test_case_id>x)?(?P<result>.+)"), "PASS") is None


def test_a_pattern_is_not_tried_beyond_its_limit() -> None:
    own = definition("(?P<test_case_id>a)x*(?P<result>PASS)")

    assert signals.parse_line(own, "a" + "x" * 900 + "PASS") is not None
    assert signals.parse_line(own, "a" + "x" * 1000 + "PASS") is None


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

    signal = signals.parse_line(plain, line)

    assert signal is not None
    assert (signal.test_case_id, signal.result) == (name, result)


@pytest.mark.parametrize("line", ["a: PASS", ": PASS", "a : Pass", "PASS : a"])
def test_other_lines_give_no_results(line: str) -> None:
    plain = TestDefinition(name="plain", format="1.0", description="")

    assert signals.parse_line(plain, line) is None


def test_arguments_are_split_at_their_first_equals_sign() -> None:
    assert signals.parse_arguments(["a=b", "c=d=e", "f="]) == {"a": "b", "c": "d=e", "f": ""}


@pytest.mark.parametrize("word", ["", "a", "=", "=b"])
def test_arguments_without_a_key_or_an_equals_sign_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is not KEY=VALUE"):
        signals.parse_arguments(["good=1", word])


def test_replies_are_lavas_lines() -> None:
    data = {"vm1": {"ip": "10.0.0.1", "port": "80"}, "vm2": {}, "vm3": {"url": "a=b"}}

    assert replies.reply_sync(True) == "<LAVA_SYNC_COMPLETE>"
    assert replies.reply_sync(False) == "<LAVA_SYNC_COMPLETE nack>"
    assert replies.reply_wait({}) == "<LAVA_WAIT_COMPLETE>"
    assert replies.reply_wait(data) == (
        "<LAVA_WAIT_COMPLETE vm1:ip=10.0.0.1 vm1:port=80 vm3:url=a=b>"
    )
    assert replies.reply_wait(None) == "<LAVA_WAIT_COMPLETE nack>"
    assert replies.reply_wait_all({"vm1": {"a": "b"}}) == "<LAVA_WAIT_ALL_COMPLETE vm1:a=b>"
    assert replies.reply_wait_all(None) == "<LAVA_WAIT_ALL_COMPLETE nack>"


def test_a_refusal_is_known_for_every_call_that_waits() -> None:
    assert {api: replies.reply_nack(api) for api in MultiNodeApi} == {
        MultiNodeApi.SEND: None,
        MultiNodeApi.SYNC: "<LAVA_SYNC_COMPLETE nack>",
        MultiNodeApi.WAIT: "<LAVA_WAIT_COMPLETE nack>",
        MultiNodeApi.WAIT_ALL: "<LAVA_WAIT_ALL_COMPLETE nack>",
    }


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "\ud800"])
def test_data_that_no_cache_file_holds_are_refused(value: str) -> None:
    with pytest.raises(MultiNodeError, match="the reply to lava-wait-all cannot be typed"):
        replies.reply_wait_all({"vm1": {"key": value}})


@pytest.mark.parametrize("value", ["a b", "a>b", "<", "a\tb", "a\x03b", "é", "", " ", "x" * 1000])
def test_a_reply_is_one_line_only_where_the_line_carries_it_unchanged(value: str) -> None:
    reply = replies.reply_wait({"vm1": {"key": value}})

    assert isinstance(reply, str) == (value == "")


def test_a_reply_of_a_megabyte_is_typed_and_one_of_more_is_refused() -> None:
    largest = (1 << 20) - len("a:b=\n")

    reply = replies.reply_wait({"a": {"b": "x" * largest}})

    assert isinstance(reply, replies.PartsReply)
    assert max(map(len, reply.lines("1"))) < 1000
    with pytest.raises(MultiNodeError, match="the data have more than 1048576 bytes"):
        replies.reply_wait({"a": {"b": "x" * (largest + 1)}})


def test_a_call_in_parts_is_told_whole_with_its_last_part() -> None:
    parser = signals.SignalParser()

    told = [parser.feed(line) for line in parts_of("ready", "text=" + 2000 * "é ")]

    assert told[-1] == MultiNodeCall(
        api=MultiNodeApi.SEND, message_id="ready", arguments=("text=" + 2000 * "é ",)
    )
    assert len(told) > 10
    assert {type(event) for event in told[:-1]} == {events.SendPart}


def test_calls_in_parts_at_the_same_time_do_not_touch_each_other() -> None:
    parser = signals.SignalParser()
    pair = (parts_of("one", "a=" + 3000 * "x"), parts_of("two", "a=" + 3000 * "y", name="8"))

    told = [parser.feed(line) for both in zip(*pair, strict=True) for line in both]

    assert [event for event in told if isinstance(event, MultiNodeCall)] == [
        MultiNodeCall(api=MultiNodeApi.SEND, message_id="one", arguments=("a=" + 3000 * "x",)),
        MultiNodeCall(api=MultiNodeApi.SEND, message_id="two", arguments=("a=" + 3000 * "y",)),
    ]


def test_a_call_that_was_broken_off_does_not_get_into_the_next() -> None:
    parser = signals.SignalParser()
    first, *_ = parts_of("ready", "a=" + 3000 * "x")

    told = [parser.feed(line) for line in (first, *parts_of("again", "a=" + 3000 * "y"))]

    assert told[-1] == MultiNodeCall(
        api=MultiNodeApi.SEND, message_id="again", arguments=("a=" + 3000 * "y",)
    )


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_call_that_misses_a_part_is_told_and_not_carried_out(lost: int) -> None:
    lines = parts_of("ready", "a=" + 3000 * "x")
    parser = signals.SignalParser()

    told = [parser.feed(line) for number, line in enumerate(lines) if number != lost]

    assert not [event for event in told if isinstance(event, MultiNodeCall)]
    assert isinstance(told[-1], events.Malformed)
    assert (
        told[-1].reason
        == f"a message is not sent: not all of its {len(lines)} parts came undamaged"
    )


@pytest.mark.parametrize("place", [5, 30, 38, 45, 60, 400, 600])
@pytest.mark.parametrize("damage", ["", "?", "xx"])
def test_a_damaged_part_never_passes_for_another(place: int, damage: str) -> None:
    lines = parts_of("ready", "text=" + 40 * "some words ")
    (line,) = lines
    parser = signals.SignalParser()

    event = parser.feed(line[:place] + damage + line[place + 1 :])

    assert not isinstance(event, MultiNodeCall)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_part_torn_by_the_kernel_is_mended(cut: int) -> None:
    first, second = parts_of("ready", "a=" + 1500 * "x")
    parser = signals.SignalParser()

    told = [parser.feed(line) for line in (first, f"{second[:cut]}{KERNEL}", KERNEL, second[cut:])]

    assert told[1:3] == [None, None]
    assert isinstance(told[3], MultiNodeCall)


def test_a_marker_of_a_tests_own_is_taken_as_it_is() -> None:
    line = "<LAVA_MULTI_NODE> <LAVA_SEND ready rate=50%25 %=1>"

    assert signals.parse_signal(line) == MultiNodeCall(
        api=MultiNodeApi.SEND, message_id="ready", arguments=("rate=50%25", "%=1")
    )


def test_a_part_is_asked_for_by_its_number() -> None:
    marker = "<LAVA_MULTI_NODE> <LAVA_WANT_PART"

    told = [signals.parse_signal(f"{marker} {words}>") for words in ("7 12", "7 12 again")]

    assert told == [
        events.PartWanted(transfer="7", number=12),
        events.PartWanted(transfer="7", number=12, again=True),
    ]
    assert isinstance(signals.parse_signal(f"{marker} 7 x>"), events.Malformed)


def parts_of(message_id: str, *arguments: str, name: str = "7") -> list[str]:
    """The markers of a lava-send in parts."""
    texts = parts.encode([message_id, *arguments])
    return [
        f"<LAVA_MULTI_NODE> <LAVA_SEND_PART {words}>" for words in parts.part_words(name, texts)
    ]
