# SPDX-License-Identifier: MIT
"""Each record on a console is recorded once or known to be missing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.results.model import Outcome, TestCase
from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell import records
from lava_vmgroup.testshell.events import (
    Damaged,
    Malformed,
    MultiNodeApi,
    MultiNodeCall,
    Recorded,
    StartRun,
    TestCaseSignal,
)
from lava_vmgroup.testshell.parts import encode, part_words
from lava_vmgroup.testshell.records import Ledger, Place, enveloped, find_record
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.signals import SignalParser
from tests.unit.testshell.test_collected import RUN, packed

TEST = OverlayTest(
    definition=TestDefinition(name="smoke", format="1.0", description=""), uuid="uuid-0", source=""
)
RESULT = TestCaseSignal(test_case_id="ping", result=Outcome.PASS, reported="pass")
MARKER = "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=ping RESULT=pass>"
KERNEL = ("[   12.345678] usb 1-1: new <b> device", "random: crng init done", "INFO: odd <0.1< #7>")


class Node:
    """A node whose console does to every line what the test draws."""

    def __init__(self, lines: list[str], data: st.DataObject, *, silent: bool) -> None:
        self.records = {
            number: enveloped(Place(0, number), line) for number, line in enumerate(lines, 1)
        }
        self._data = data
        self._silent = silent
        """If True, a record that is damaged once is damaged each time."""
        self._lost: set[int] = set()

    def say(self, numbers: Iterator[int]) -> Iterator[str]:
        """The lines that come when the node prints records."""
        text = "".join(self._damaged(number) for number in numbers)
        yield from f"{text}the last line".split("\n")

    def _damaged(self, number: int) -> str:
        line = f"{self.records[number]}\n"
        if self._silent and number in self._lost:
            return ""
        draw = self._data.draw
        kind = draw(st.sampled_from(["none", "kernel", "loss", "change", "twice"]))
        at = draw(st.integers(0, len(line) - 1))
        if kind == "kernel":
            for text in draw(st.lists(st.sampled_from(KERNEL), min_size=1, max_size=3)):
                line = f"{line[:at]}{text}\n{line[at:]}"
                at = draw(st.integers(0, at))
        elif kind == "loss":
            self._lost.add(number)
            line = line[:at] + line[at + draw(st.integers(1, len(line))) :]
        elif kind == "change":
            line = f"{line[:at]}{draw(st.sampled_from('x1 >#<'))}{line[at + 1 :]}"
        elif kind == "twice":
            line *= 2
        return line


def attend(node: Node) -> tuple[RunRecorder, list[MultiNodeCall], set[int]]:
    """The results that a dispatcher makes of a node's records, and the missing ones."""
    recorder, ledger, parser = RunRecorder(NodeLog("vm1")), Ledger(), SignalParser()
    recorder.expect_tests([TEST])
    calls: list[MultiNodeCall] = []
    last = Place(0, len(node.records) + 1)
    wanted: tuple[int, ...] = tuple(node.records)
    while wanted:
        for line in node.say(iter(wanted)):
            told = parser.feed(line)
            if not isinstance(told, Recorded):
                assert told is None or isinstance(told, Damaged | Malformed)
                continue
            if ledger.take(told.place):
                recorder.note_record(told.place)
                if isinstance(told.event, MultiNodeCall):
                    calls.append(told.event)
                elif told.event is not None:
                    recorder.event(told.event, told.place)
        ledger.take(last)
        wanted = ledger.wanted(0)
    recorder.note_missing(ledger.incomplete())
    return recorder, calls, {n for n in node.records if not ledger.has(Place(0, n))}


def cases(recorder: RunRecorder) -> list[TestCase]:
    return [case for run in recorder.runs for case in run.cases]


@pytest.mark.parametrize("silent", [False, True])
@given(count=st.integers(1, 12), data=st.data())
def test_each_record_is_delivered_once_and_in_order_or_known_to_be_missing(
    silent: bool, count: int, data: st.DataObject
) -> None:
    lines = [
        f"<LAVA_MULTI_NODE> <LAVA_SEND m{number}>"
        if number % 3 == 0
        else f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=c{number} RESULT=pass>"
        for number in range(1, count + 1)
    ]

    recorder, calls, lost = attend(Node(lines, data, silent=silent))

    came = [number for number in range(1, count + 1) if number not in lost]
    assert [case.name for case in cases(recorder)] == [f"c{n}" for n in came if n % 3]
    assert sorted(call.message_id for call in calls) == sorted(f"m{n}" for n in came if not n % 3)
    assert sum(run.missing_records for run in recorder.runs) == len(lost)
    assert silent or not lost


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"])), st.data())
def test_a_damaged_record_is_never_taken_for_a_whole_one(text: str, data: st.DataObject) -> None:
    record = enveloped(Place(0, 17), f"<LAVA_X {text}>")
    at = data.draw(st.integers(0, len(record) - 1))
    instead = data.draw(st.sampled_from(["", "x", "7", " ", "#", ">", "xyz", record[at] * 2]))
    damaged = record[:at] + instead + record[at + 1 :]

    found = find_record(damaged)

    assert damaged == record or found is None or f"<LAVA_X {text}>" == found.text


@pytest.mark.parametrize("cut", range(1, len(enveloped(Place(0, 17), MARKER))))
def test_a_record_torn_by_the_kernel_is_mended_wherever_it_is_torn(cut: int) -> None:
    record = enveloped(Place(0, 17), MARKER)
    parser = SignalParser()

    told = [
        parser.feed(line)
        for line in (f"# {record[:cut]}{KERNEL[0]}", KERNEL[0], record[cut:], "hello")
    ]

    assert told == [None, None, Recorded(place=Place(0, 17), event=RESULT), None]


def test_the_place_of_a_damaged_call_is_told() -> None:
    parser = SignalParser()
    record = enveloped(Place(3, 17), "<LAVA_MULTI_NODE> <LAVA_SEND ready>")

    told = parser.feed(record.replace("ready", "reedy"))

    assert isinstance(told, Damaged)
    assert told.call == Place(3, 17)


def test_a_marker_that_a_test_prints_itself_needs_no_number() -> None:
    parser = SignalParser()

    torn = enveloped(Place(0, 1), MARKER)[:30] + KERNEL[0]
    told = [parser.feed(line) for line in (MARKER, torn, MARKER, "a <0.5< b : PASS")]

    assert told == [RESULT, None, RESULT, None]


def test_a_late_record_stands_where_it_was_recorded() -> None:
    recorder = RunRecorder(NodeLog("vm1"))
    recorder.expect_tests([TEST])
    parser = SignalParser()

    def say(number: int, marker: str) -> None:
        told = parser.feed(enveloped(Place(0, number), f"<LAVA_SIGNAL_{marker}>"))
        assert isinstance(told, Recorded)
        recorder.note_record(told.place)
        assert told.event is not None
        recorder.event(told.event, told.place)

    say(1, "STARTRUN smoke uuid-0")
    say(4, "TESTCASE TEST_CASE_ID=in-set RESULT=pass")
    recorder.line("pattern : PASS")
    say(6, "TESTCASE TEST_CASE_ID=after RESULT=pass")
    say(5, "TESTSET STOP")
    say(3, "TESTCASE TEST_CASE_ID=late RESULT=fail")
    say(2, "TESTSET START net")

    assert [(case.name, case.test_set) for case in cases(recorder)] == [
        ("late", "net"),
        ("in-set", "net"),
        ("pattern", "net"),
        ("after", None),
    ]
    times = {case.name: case.recorded_at for case in cases(recorder)}
    assert times["late"] <= times["in-set"] < times["after"]


def test_a_record_that_lost_both_its_ends_is_not_recorded_again() -> None:
    recorder = RunRecorder(NodeLog("vm1"))
    recorder.expect_tests([TEST])
    recorder.note_record(Place(0, 1))
    recorder.event(StartRun(name="smoke", uuid="uuid-0"), Place(0, 1))

    recorder.event(RESULT)
    recorder.note_record(Place(0, 3))
    recorder.event(RESULT)
    for number in (2, 4):
        recorder.note_record(Place(0, number))
        recorder.event(RESULT, Place(0, number))

    assert len(cases(recorder)) == 3


def test_what_never_came_on_the_console_is_read_from_the_collected_files() -> None:
    recorder = RunRecorder(NodeLog("vm1"))
    recorder.expect_tests([TEST])
    recorder.note_record(Place(0, 1))
    recorder.event(StartRun(name="smoke", uuid="uuid-0"), Place(0, 1))
    for number in (4, 6):
        recorder.note_record(Place(0, number))
    recorder.note_missing({0: 6})
    kept = {
        4: "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=came RESULT=pass>",
        3: "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=lost RESULT=fail>",
        2: "<LAVA_SIGNAL_TESTSET START net>",
        7: "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=after\u2028 RESULT=skip>",
    }
    log = "".join(f"{enveloped(Place(0, number), text)}\n" for number, text in kept.items())

    recorder.add_results(packed({f"{RUN}/records.log": f"{log}<0.5<LAVA".encode()}))

    (run,) = recorder.runs
    assert [(case.name, case.test_set) for case in run.cases] == [
        ("lost", "net"),
        ("after\ufffd", "net"),
    ]
    assert run.missing_records == 1


def test_a_program_that_an_earlier_test_left_running_records_for_that_test() -> None:
    recorder = RunRecorder(NodeLog("vm1"))
    later = replace(TEST, uuid="uuid-1")
    recorder.expect_tests([TEST])
    recorder.event(StartRun(name="smoke", uuid="uuid-0"), Place(0, 1))
    assert recorder.expected == 1
    recorder.expect_tests([later])
    recorder.event(StartRun(name="smoke", uuid="uuid-1"), Place(1, 1))

    for place in (Place(0, 9), Place(1, 9)):
        recorder.note_record(place)
        recorder.event(replace(RESULT, test_case_id=place.word), place)

    assert {run.uuid: [case.name for case in run.cases] for run in recorder.runs} == {
        "uuid-0": ["0_9"],
        "uuid-1": ["1_9"],
    }


def test_a_message_in_parts_is_one_record_however_often_its_parts_come() -> None:
    parts = [
        f"<LAVA_MULTI_NODE> <LAVA_SEND_PART {words}>"
        for words in part_words("0_17", encode(["ready", f"text={'x ' * 1500}"]))
    ]
    parser = SignalParser()

    told = [parser.feed(line) for line in (*parts[:1], *parts[2:], *parts, *parts)]

    whole = [event for event in told if isinstance(event, Recorded)]
    assert {event.place for event in whole} == {Place(0, 17)}
    assert {type(event.event) for event in whole} == {MultiNodeCall}
    assert all(not isinstance(event, Malformed) for event in told)
    assert isinstance(whole[0].event, MultiNodeCall)
    assert whole[0].event.api is MultiNodeApi.SEND


def test_each_beginning_of_a_record_in_a_line_is_checked_once_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []

    def count(text: str) -> int:
        looked.append(len(text))
        return -1

    monkeypatch.setattr(records, "_check", count)

    assert find_record("<0.1<LAVA_" * 300 + " CHECK=1>" * 300 + "<0.1<LAVA_ CHECK=1>" * 300) is None
    assert len(looked) <= 301
    assert sum(looked) < 10_000


def test_a_part_with_a_place_that_there_is_not_is_no_part() -> None:
    parser, (words,) = SignalParser(), part_words("7", encode(["m"]))
    check = zlib.adler32(b"7 2/1 m%0A")

    told = [
        parser.feed(f"<LAVA_MULTI_NODE> <LAVA_SEND_PART {one}>")
        for one in (words, f"7 2/1 {check:08x} m%0A")
    ]

    assert told[0] == MultiNodeCall(api=MultiNodeApi.SEND, message_id="m")
    assert isinstance(told[1], Malformed)
    assert told[1].reason == "a part of a message is damaged"


def test_record_that_lost_both_its_head_and_its_result_is_damaged_and_no_verdict() -> None:
    line = "6<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=case-6-5 RESULT=CHECK=961560>"

    assert records.holds_damaged_record(line)
