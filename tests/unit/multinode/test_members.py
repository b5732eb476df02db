# SPDX-License-Identifier: MIT
"""Members that are there or have gone, and the effect on members that wait."""

from __future__ import annotations

import pytest

from tests.unit.multinode.asked import (
    ACK,
    NACK,
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

GONE = {**NACK, "failed": {"node_two": "its connection to the coordinator broke off"}}


def given_up(groups: Asked) -> set[str]:
    """Because of whom a wait is given up."""
    reply = answer(groups, held("node_one", "lava_wait", messageID="m"))
    assert reply is not None
    return set(reply["failed"])


@pytest.mark.parametrize("command", ["lava_wait", "lava_wait_all", "lava_sync", "group_data"])
def test_a_member_that_breaks_off_frees_those_who_wait(command: str) -> None:
    groups = group_of("node_one", "node_two", size=3)
    wait = held("node_one", command, messageID="m")
    assert answer(groups, wait) == WAIT
    assert answer(groups, watch("node_two")) == WAIT

    break_off(groups, watch("node_two"))

    assert again(groups, wait) == GONE


def test_a_member_is_there_as_long_as_one_of_its_watches() -> None:
    groups = group_of("node_one", "node_two")
    wait = held("node_one", "lava_wait", messageID="m")
    for request in (wait, watch("node_two"), watch("node_two", call="2")):
        assert answer(groups, request) == WAIT

    break_off(groups, watch("node_two"))
    assert again(groups, wait) == WAIT

    break_off(groups, watch("node_two", call="2"))
    assert again(groups, wait) == GONE


def test_a_member_that_comes_back_in_time_is_not_lost() -> None:
    groups = group_of("node_one", "node_two")
    wait = held("node_one", "lava_wait", messageID="m")
    answer(groups, wait)
    answer(groups, watch("node_two"))

    hold = groups.hold(watch("node_two"))
    assert groups.withdraw(hold, 0)
    answer(groups, watch("node_two", call="2"))
    groups.note(groups.lose(hold.request))

    assert again(groups, wait) == WAIT


def test_a_member_that_has_left_is_not_lost() -> None:
    groups = group_of("node_one", "node_two")
    answer(groups, watch("node_two"))
    answer(groups, base("node_two", request="clear_group"))

    break_off(groups, watch("node_two"))

    assert answer(groups, held("node_one", "lava_wait", messageID="m")) == WAIT


def test_the_loss_of_a_member_does_not_touch_a_new_group_of_the_same_name() -> None:
    groups = group_of("node_two", size=1)
    first = watch("node_two", instance="a", group_name="next", group_size=2)
    answer(groups, first)
    hold = groups.hold(first)
    assert groups.withdraw(hold, 0)
    answer(groups, {**first, "request": "clear_group"})
    second = {**first, "instance": "b", "request": "group_data", "hold": False}
    assert answer(groups, second) == WAIT

    groups.note(groups.lose(hold.request))

    assert answer(groups, second) == WAIT


def test_a_group_of_which_all_broke_off_is_gone() -> None:
    groups = group_of("node_one", "node_two")
    for client in ("node_one", "node_two"):
        answer(groups, watch(client))
    for client in ("node_one", "node_two"):
        break_off(groups, watch(client))

    assert answer(groups, base("node_one", request="group_data")) == NACK


def test_nobody_waits_for_the_lost_to_stop() -> None:
    groups = group_of("node_one", "node_two", "node_three")
    answer(groups, watch("node_two"))
    stop = held("node_one", "lava_wait_all", messageID="lava_vm_stop")
    answer(groups, base("node_one", request="lava_send", messageID="lava_vm_stop"))
    assert answer(groups, stop) == WAIT

    break_off(groups, watch("node_two"))
    assert again(groups, stop) == WAIT
    answer(groups, base("node_three", request="lava_send", messageID="lava_vm_stop"))

    assert again(groups, stop) == {**ACK, "message": {"node_one": {}, "node_three": {}}}


def test_who_watches_hears_of_the_end_of_the_group_and_of_nothing_else() -> None:
    groups = group_of("node_one", "node_two", "node_three")
    assert answer(groups, watch("node_one")) == WAIT
    answer(groups, base("node_two", request="lava_failed", reason="no boot"))
    assert again(groups, watch("node_one")) == WAIT

    failure = base("node_three", request="lava_failed", reason="no power", ends_group=True)
    answer(groups, watch("node_three"))
    answer(groups, failure)

    ended = {**NACK, "failed": {"node_three": "no power"}}
    assert again(groups, watch("node_one")) == ended
    assert again(groups, watch("node_three")) == WAIT, "who failed knows"
    assert answer(groups, watch("node_two")) == ended


def test_a_member_whose_loss_ends_the_group_says_so_before() -> None:
    groups = group_of("node_one", "node_two")
    answer(groups, watch("node_one"))
    answer(groups, watch("node_two", ends_group=True))

    break_off(groups, watch("node_two", ends_group=True))

    assert again(groups, watch("node_one")) == GONE


def test_a_watch_that_was_answered_is_a_presence_still() -> None:
    groups = group_of("node_one", "node_two", "node_three")
    answer(groups, watch("node_two"))
    failure = base("node_three", request="lava_failed", reason="no power", ends_group=True)
    answer(groups, failure)
    assert again(groups, watch("node_two"))["response"] == "nack"

    assert groups_in(groups)["group"]["members"]["node_two"]["present"]
    break_off(groups, watch("node_two"))

    names = {"node_two", "node_three"}
    assert given_up(groups) == names


def test_a_watch_that_is_not_held_is_refused() -> None:
    assert answer(group_of("node_one"), base("node_one", request="lava_watch")) == NACK


def test_a_held_sync_that_is_withdrawn_releases_nobody() -> None:
    groups = group_of("node_one", "node_two")
    one, two = (held(client, "lava_sync", messageID="m") for client in ("node_one", "node_two"))
    answer(groups, one)
    groups.withdraw(groups.hold(one), 0)

    assert answer(groups, two) == WAIT
    assert answer(groups, one) == {**ACK, "message": "m"}
    assert again(groups, two) == {**ACK, "message": "m"}


def test_an_answer_to_a_sync_that_got_lost_is_given_again() -> None:
    groups = group_of("node_one", "node_two")
    one = held("node_one", "lava_sync", messageID="m", call="1")
    answer(groups, one)
    released = {**ACK, "message": "m"}
    assert answer(groups, held("node_two", "lava_sync", messageID="m", call="2")) == released

    assert answer(groups, one) == {**ACK, "message": "m"}
    assert answer(groups, {**one, "call": "3"}) == WAIT
