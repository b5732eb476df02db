# SPDX-License-Identifier: MIT
"""Calls that are too long for a line come in parts, and whole or not at all."""

from __future__ import annotations

import pytest

from lava_vmgroup.testshell import events, parts, signals
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall

KERNEL = "[   12.345678] usb 1-1: new device"


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
    first = parts_of("ready", "a=" + 3000 * "x")
    second = parts_of("again", "a=" + 3000 * "y")
    assert len(first) == len(second) > 2

    # Of the second call, only the part is lost that the first one has left behind.
    lines = (*first[:2], second[0], *second[2:])
    told = [parser.feed(line) for line in lines]

    assert isinstance(told[-1], events.Malformed)
    assert not [event for event in told if isinstance(event, MultiNodeCall)]


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
