# SPDX-License-Identifier: MIT
"""Calls to the coordinator are answered on the console, whoever asks and when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.testshell import events, replies
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall
from tests.integration.testshell.definitions import definition

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node


def coordinator(event: events.Event) -> replies.Reply | None:
    """Answer every call the way a coordinator with two VMs might."""
    if not isinstance(event, MultiNodeCall):
        return None
    match event.api:
        case MultiNodeApi.SYNC:
            return replies.reply_sync(event.message_id != "refused")
        case MultiNodeApi.WAIT:
            return replies.reply_wait({"vm2": {"port": "80", "path": "/a=b"}})
        case MultiNodeApi.WAIT_ALL:
            return replies.reply_wait_all({"vm1": {"id": event.message_id}, "vm2": {}})
        case MultiNodeApi.SEND:
            return None


def test_calls_are_answered_on_the_console_in_every_test(node: Node) -> None:
    steps = (
        "lava-send ready ip=10.0.0.1 port=80",
        "lava-wait ready",
        f"cat {node.cache}",
        "lava-wait-all done client",
        f"cat {node.cache}",
        "lava-sync end",
        "lava-test-case synced --shell lava-sync inner",
    )
    node.unpack(definition("first", *steps), definition("second", *steps))

    finished = node.run_tests(coordinator)

    calls = [event for event in finished.events if isinstance(event, MultiNodeCall)]
    assert calls == 2 * [
        MultiNodeCall(
            api=MultiNodeApi.SEND, message_id="ready", arguments=("ip=10.0.0.1", "port=80")
        ),
        MultiNodeCall(api=MultiNodeApi.WAIT, message_id="ready"),
        MultiNodeCall(api=MultiNodeApi.WAIT_ALL, message_id="done", arguments=("client",)),
        MultiNodeCall(api=MultiNodeApi.SYNC, message_id="end"),
        MultiNodeCall(api=MultiNodeApi.SYNC, message_id="inner"),
    ]
    assert finished.lines.count("vm2:port=80") == 2
    assert finished.lines.count("vm2:path=/a=b") == 2
    assert finished.lines.count("vm1:id=done") == 2
    assert [
        event.return_code for event in finished.events if isinstance(event, events.TestExited)
    ] == [0, 0]


def test_calls_at_the_same_time_are_all_answered(node: Node) -> None:
    node.unpack(
        definition(
            "smoke",
            "for number in $(seq 20); do lava-send message$number & done; wait",
            "lava-wait one & lava-wait-all two & lava-sync three && lava-send four; wait",
            "lava-test-case done --result pass",
        )
    )

    finished = node.run_tests(coordinator)

    calls = [event for event in finished.events if isinstance(event, MultiNodeCall)]
    assert len({call.message_id for call in calls}) == 24
    assert any(isinstance(event, events.TestCaseSignal) for event in finished.events)


def test_turn_at_the_console_outlives_a_late_look_at_its_last_holder(node: Node) -> None:
    tools = node.root / "slow-tools"
    tools.mkdir()
    slow = tools / "readlink"
    slow.write_text('#!/bin/sh\nPATH=${PATH#*:}\nreadlink "$@"\nsleep 0.$(($PPID % 10))\n')
    slow.chmod(0o755)
    node.environment["PATH"] = f"{tools}:{node.environment['PATH']}"
    node.environment["LAVA_REPEAT_PAUSE"] = "1000"  # a lost answer stays lost
    node.unpack(definition("smoke", "for number in $(seq 8); do lava-send m$number & done; wait"))

    def late(event: events.Event) -> replies.Reply | None:
        time.sleep(0.5)
        return coordinator(event)

    finished = node.run_tests(late)

    calls = [event.message_id for event in finished.events if isinstance(event, MultiNodeCall)]
    assert sorted(calls) == [f"m{number}" for number in range(1, 9)]


def never(event: events.Event) -> replies.Reply | None:
    """Answer every call but those for the message "never"."""
    waits = isinstance(event, MultiNodeCall) and event.message_id == "never"
    return None if waits else coordinator(event)


NO_LONGER_READS = {
    "killed": "lava-wait never & sleep 1; kill -9 $!; lava-send after",
    "stopped": "lava-wait never & sleep 1; kill -STOP $!; lava-send after; kill -9 $!",
    "killed and a zombie": "sh -c 'lava-wait never & echo $! >pid; exec sleep 30' & "
    "sleep 1; kill -9 $(cat pid); lava-send after; kill $!",
}


@pytest.mark.parametrize("steps", NO_LONGER_READS.values(), ids=NO_LONGER_READS)
def test_turn_at_the_console_ends_with_a_helper_that_no_longer_reads(
    node: Node, steps: str
) -> None:
    node.unpack(definition("smoke", steps))

    finished = node.run_tests(never)

    assert events.TestExited(directory="0_uuid-0", return_code=0) in finished.events


def test_turn_of_a_system_that_has_been_rebooted_does_not_count(node: Node) -> None:
    node.unpack(definition("smoke", "lava-send after"))
    turns = node.directory / "turns"
    turns.mkdir()
    (turns / "turn").write_text("0.7 1 1 0000-1111\n")

    finished = node.run_tests(never)

    assert events.TestExited(directory="0_uuid-0", return_code=0) in finished.events


@pytest.mark.parametrize("missing", ["ln", "mkdir"])
def test_helpers_without_a_turn_are_answered(node: Node, missing: str) -> None:
    tools = node.root / "fewer-tools"
    tools.mkdir()
    (tools / missing).write_text("#!/bin/sh\nexit 1\n")
    (tools / missing).chmod(0o755)
    node.environment["PATH"] = f"{tools}:{node.environment['PATH']}"
    node.unpack(definition("smoke", "lava-send one & lava-send two; wait"))

    finished = node.run_tests(coordinator)

    calls = {event.message_id for event in finished.events if isinstance(event, MultiNodeCall)}
    assert calls == {"one", "two"}


def test_a_refused_call_ends_the_test(node: Node) -> None:
    node.unpack(definition("smoke", "lava-sync refused", "echo after"))

    finished = node.run_tests(coordinator)

    assert events.TestExited(directory="0_uuid-0", return_code=1) in finished.events
    assert "after" not in finished.lines
