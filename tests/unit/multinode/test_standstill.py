# SPDX-License-Identifier: MIT
"""Groups in which every member waits: the notices to members, and the end of the group."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.multinode.asked import (
    ACK,
    WAIT,
    Asked,
    again,
    answer,
    base,
    break_off,
    group_of,
    groups_in,
    held,
    watch,
)
from tests.unit.multinode.standstills import (
    TOGETHER,
    ask_again,
    confirm,
    end_tests,
    group,
    send,
    told,
    waiting,
)


def test_a_sync_that_a_member_can_never_join_ends_when_each_test_waits_for_nothing_else() -> None:
    groups = group()
    end_tests(groups, "host")
    waits = [waiting("vm1"), waiting("vm2")]
    for wait in waits:
        assert answer(groups, wait) == WAIT
    assert [told(groups, wait) for wait in waits] == [
        {"number": 1, "lines": [TOGETHER], "in_vain": True}
    ] * 2
    waits = ask_again(groups, *waits)

    confirm(groups, "vm1")
    assert [again(groups, wait) for wait in waits] == [WAIT, WAIT]
    confirm(groups, "vm2")

    for wait in waits:
        assert again(groups, wait)["response"] == "nack"
        assert again(groups, wait)["standstill"]["lines"] == [TOGETHER]


def test_nobody_is_told_of_anything_while_a_test_runs() -> None:
    groups = group()
    end_tests(groups, "host")
    wait = waiting("vm1")
    answer(groups, wait)

    assert again(groups, wait) == WAIT
    assert groups_in(groups)["group"]["lines"] == [
        "vm1 waits in lava-sync 'x' for host, whose tests have ended, and vm2"
    ]


def test_a_confirmation_of_an_earlier_standstill_is_none() -> None:
    groups = group()
    end_tests(groups, "host", "vm2")
    first, second = waiting("vm1"), waiting("vm1", messageID="y")
    answer(groups, first)
    answer(groups, second)  # a program beside the one that waited
    assert told(groups, second)["number"] == 2

    confirm(groups, "vm1", seen=1)

    assert again(groups, {**second}).get("response") == "wait"


def test_a_member_that_goes_on_again_makes_the_standstill_another_one() -> None:
    groups = group()
    end_tests(groups, "host")
    waits = [waiting("vm1"), waiting("vm2")]
    for wait in waits:
        answer(groups, wait)
    first, _ = ask_again(groups, *waits)
    confirm(groups, "vm1")

    groups.withdraw(groups.hold(first), 0)
    confirm(groups, "vm2")

    assert again(groups, {**waits[1], "seen": 1}) == WAIT
    answer(groups, {**waits[0], "call": "next"})
    assert told(groups, {**waits[1], "seen": 1})["number"] == 2


@pytest.mark.parametrize(
    ("command", "fields", "sent", "in_vain", "line"),
    [
        ("lava_sync", {}, [], True, "for host and vm2, whose tests have ended"),
        ("lava_wait", {}, [], True, "for host and vm2, whose tests have ended"),
        ("lava_wait_all", {}, [], True, "for host and vm2, whose tests have ended, and vm1"),
        ("lava_wait_all", {}, ["host", "vm2"], False, "for vm1"),
        ("lava_wait_all", {"waitrole": "host"}, [], True, "of role 'host' for host, whose"),
        ("lava_wait_all", {"waitrole": "guest"}, ["vm2"], False, "of role 'guest' for vm1"),
        ("lava_wait", {"messageID": "lava_vm_start"}, [], False, "for host and vm2, whose"),
        ("lava_wait_all", {"messageID": "lava_vm_stop"}, [], False, "for host and vm2, whose"),
    ],
)
def test_a_wait_is_in_vain_when_it_needs_a_member_whose_tests_have_ended(
    command: str, fields: dict[str, Any], sent: list[str], in_vain: bool, line: str
) -> None:
    groups = Asked()
    for name, role in (("host", "host"), ("vm1", "guest"), ("vm2", "guest")):
        groups.handle(base(name, role, request="group_data", group_size=3))
    end_tests(groups, "host", "vm2")
    for client in sent:
        send(groups, client)
    wait = waiting("vm1", command, **fields)
    answer(groups, wait)

    assert told(groups, wait)["in_vain"] is in_vain
    assert line in told(groups, wait)["lines"][0]


def test_a_message_that_was_sent_already_ends_a_wait_whoever_has_left() -> None:
    groups = group()
    send(groups, "vm2")
    end_tests(groups, "host", "vm2")

    reply = answer(groups, waiting("vm1", "lava_wait"))

    assert reply == {**ACK, "message": {"vm2": {}}}


def test_members_that_wait_for_each_other_are_told_and_not_ended() -> None:
    groups = group()
    end_tests(groups, "host")
    # vm1 waits for a message of vm2, which waits for vm1 to have sent another one.
    send(groups, "host", "b")
    send(groups, "vm2", "b")
    waits = [
        waiting("vm1", "lava_wait", messageID="a"),
        waiting("vm2", "lava_wait_all", messageID="b"),
    ]
    for wait in waits:
        answer(groups, wait)
    lines = [
        "vm1 waits in lava-wait 'a' for host, whose tests have ended, and vm2",
        "vm2 waits in lava-wait-all 'b' for vm1",
    ]
    assert [told(groups, wait) for wait in waits] == [
        {"number": 1, "lines": lines, "in_vain": False}
    ] * 2
    waits = ask_again(groups, *waits)

    confirm(groups, "vm1", "vm2")

    assert [again(groups, wait) for wait in waits] == [WAIT, WAIT]
    send(groups, "vm1", "b")
    assert again(groups, waits[1])["response"] == "ack"


def test_a_standstill_is_told_once() -> None:
    groups = group()
    end_tests(groups, "host")
    waits = [waiting("vm1", "lava_wait"), waiting("vm2", "lava_wait", messageID="y")]
    for wait in waits:
        answer(groups, wait)
    waits = ask_again(groups, *waits)

    send(groups, "host", "something else")

    assert [again(groups, wait) for wait in waits] == [WAIT, WAIT]


def test_waits_between_two_questions_still_count() -> None:
    groups = group()
    end_tests(groups, "host")
    waits = [waiting("vm1"), waiting("vm2")]
    for wait in waits:
        answer(groups, wait)

    # vm1 asks again before vm2 does.
    (first,) = ask_again(groups, waits[0])
    confirm(groups, "vm1", "vm2")

    assert again(groups, first)["response"] == "nack"
    assert answer(groups, {**waits[1], "seen": 1}) is not None


def test_a_member_that_waits_for_its_start_has_no_test_to_confirm_for() -> None:
    groups = group()
    end_tests(groups, "vm2")
    answer(groups, held("vm1", "lava_wait", messageID="lava_vm_start"))
    wait = waiting("host", "lava_wait_all", waitrole="tester")
    answer(groups, wait)
    (wait,) = ask_again(groups, wait)

    confirm(groups, "host")

    assert again(groups, wait)["response"] == "nack"


@pytest.mark.parametrize("gone", ["clear_group", "lava_skipped"])
def test_members_that_left_or_were_skipped_send_nothing(gone: str) -> None:
    groups = group()
    for client in ("host", "vm2"):
        answer(groups, base(client, request=gone, reason="no room"))
    wait = waiting("vm1", "lava_wait")
    answer(groups, wait)

    state = "which have left" if gone == "clear_group" else "which were skipped"
    assert told(groups, wait) == {
        "number": 1,
        "lines": [f"vm1 waits in lava-wait 'x' for host and vm2, {state}"],
        "in_vain": True,
    }


def test_a_member_whose_tests_begin_again_may_answer() -> None:
    groups = group()
    end_tests(groups, "host", "vm2")
    end_tests(groups, "host", ended=False)

    wait = waiting("vm1")
    answer(groups, wait)

    assert again(groups, wait) == WAIT


def test_clients_that_do_not_ask_for_it_are_told_nothing() -> None:
    groups = group()
    end_tests(groups, "host", "vm2")
    holding, polling = held("vm1", "lava_sync", messageID="x"), base("vm1", request="lava_wait")

    assert answer(groups, holding) == WAIT
    assert answer(groups, {**polling, "messageID": "y"}) == WAIT

    assert again(groups, holding) == WAIT


@pytest.mark.parametrize("request_name", ["lava_wait", "lava_wait_all"])
def test_a_client_that_polls_and_is_satisfied_does_not_wait(request_name: str) -> None:
    groups = group()
    for sender in ("host", "vm1") if request_name == "lava_wait_all" else ():
        send(groups, sender)
    end_tests(groups, "host")
    assert answer(groups, base("vm1", request=request_name, messageID="x")) == WAIT
    send(groups, "vm2")
    wait = waiting("vm2", "lava_wait", messageID="y")
    answer(groups, wait)

    assert again(groups, wait) == WAIT


def test_a_message_from_before_a_member_came_does_not_end_its_wait() -> None:
    groups = group_of("host", "vm1", size=3)
    send(groups, "vm1")
    groups.handle(base("vm2", request="group_data", group_size=3))
    end_tests(groups, "host")
    assert answer(groups, base("vm2", request="lava_wait", messageID="x")) == WAIT
    wait = waiting("vm1", "lava_wait", messageID="y")
    answer(groups, wait)

    assert told(groups, wait) is not None


def test_a_failed_member_gives_up_waits_as_ever() -> None:
    groups = group()
    end_tests(groups, "host")
    wait = waiting("vm1")
    answer(groups, wait)
    answer(groups, watch("vm2"))

    break_off(groups, watch("vm2"))

    assert set(again(groups, wait)["failed"]) == {"vm2"}


def test_the_members_that_wait_for_the_same_share_a_line() -> None:
    names = [f"vm{number:02}" for number in range(12)]
    groups = group_of("host", *names)
    end_tests(groups, "host")
    for name in names:
        answer(groups, waiting(name, "lava_wait"))
    answer(groups, held("host", "lava_wait_all", messageID="lava_vm_stop"))

    reply = answer(groups, base("host", request="lava_waits"))

    shown = ", ".join(names[:8])
    assert reply == {
        **ACK,
        "message": {
            "lines": [
                f"{shown} and 4 more wait in lava-wait 'x' for host, whose tests have ended",
                f"host waits in lava-wait-all 'lava_vm_stop' for host, whose tests have ended, "
                f"and {shown} and 4 more",
            ]
        },
    }


@pytest.mark.parametrize("field", ["of_test", "ended", "canceled"])
def test_words_that_are_no_truth_are_refused(field: str) -> None:
    reply = answer(group(), waiting("vm1", **{field: "yes"}))
    assert reply == {"response": "nack", "reason": f"{field} is true or false"}


@pytest.mark.parametrize("seen", [-1, "1", True, 1.5, None])
def test_a_number_of_a_standstill_that_is_none_is_refused(seen: Any) -> None:
    reply = answer(group(), waiting("vm1", seen=seen))
    assert reply == {"response": "nack", "reason": "seen is the number of a standstill"}


def test_a_watch_that_is_made_again_leaves_the_standstill_as_it_is() -> None:
    groups = group()
    answer(groups, watch("vm1"))
    end_tests(groups, "host")
    waits = [waiting("vm1"), waiting("vm2")]
    for wait in waits:
        assert answer(groups, wait) == WAIT
    waits = ask_again(groups, *waits)

    groups.withdraw(groups.hold(watch("vm1")), 0)
    answer(groups, watch("vm1"))
    confirm(groups, "vm1", "vm2")

    for wait in waits:
        assert again(groups, wait)["response"] == "nack"


def test_a_member_that_is_lost_makes_the_standstill_another_one() -> None:
    groups = group()
    answer(groups, watch("vm1"))
    end_tests(groups, "host")
    waits = [waiting("vm1"), waiting("vm2")]
    for wait in waits:
        assert answer(groups, wait) == WAIT
    ask_again(groups, *waits)

    break_off(groups, watch("vm1"))
    confirm(groups, "vm2")

    assert groups_in(groups)["group"]["members"]["vm1"]["failed"]
