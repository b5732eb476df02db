# SPDX-License-Identifier: MIT
"""Whom groups listen to, who is there, who has gone, and when a group goes."""

from __future__ import annotations

from typing import Any

import pytest

from lava_vmgroup.multinode import group as group_module
from lava_vmgroup.multinode import groups as groups_module
from lava_vmgroup.multinode.group import LONGEST_PATIENCE_S, PATIENCE_S
from tests.unit.multinode.asked import (
    ACK,
    NACK,
    WAIT,
    Asked,
    again,
    answer,
    base,
    group_of,
    groups_in,
    held,
)

GONE = {**NACK, "failed": {"node_two": "its connection to the coordinator broke off"}}


def watch(client: str, **fields: Any) -> dict[str, Any]:
    return held(client, "lava_watch", **fields)


def given_up(groups: Asked) -> set[str]:
    """Because of whom a wait is given up."""
    reply = answer(groups, held("node_one", "lava_wait", messageID="m"))
    assert reply is not None
    return set(reply["failed"])


def break_off(groups: Asked, request: dict[str, Any]) -> None:
    """What a server does when a watch's connection ends and nothing new comes."""
    hold = groups.hold(request)
    if groups.withdraw(hold, 0):
        groups.note(groups.lose(hold.request))


@pytest.mark.parametrize("command", ["lava_wait", "lava_wait_all", "lava_sync", "group_data"])
def test_a_member_that_breaks_off_frees_those_who_wait(command: str) -> None:
    groups = group_of("node_one", "node_two", size=3)
    wait = held("node_one", command, messageID="m")
    assert answer(groups, wait) == WAIT
    assert answer(groups, watch("node_two")) == WAIT

    break_off(groups, watch("node_two"))

    assert again(groups, wait) == GONE


def skip(groups: Asked, client: str) -> None:
    assert answer(groups, base(client, request="lava_skipped", reason="no room")) == ACK


@pytest.mark.parametrize("command", ["lava_sync", "lava_wait_all"])
@pytest.mark.parametrize("skipped_first", [True, False])
def test_nobody_waits_for_a_skipped_member(command: str, skipped_first: bool) -> None:
    groups = group_of("node_one", "node_two", "node_three")
    requests = [held(name, command, messageID="m") for name in ("node_one", "node_two")]
    if skipped_first:
        skip(groups, "node_three")
    for request in requests:
        answer(groups, {**request, "request": "lava_send", "hold": False})
    answers = [answer(groups, request) for request in requests]
    if not skipped_first:
        assert answers == [WAIT, WAIT]
        skip(groups, "node_three")

    held_ones = [request for request, reply in zip(requests, answers, strict=True) if reply == WAIT]
    given = [reply for reply in answers if reply != WAIT] + [
        again(groups, one) for one in held_ones
    ]

    assert [reply and reply["response"] for reply in given] == ["ack", "ack"]


def test_a_role_of_skipped_members_keeps_nobody_waiting() -> None:
    groups = Asked()
    for name, role in (("node_one", "tester"), ("node_two", "extra")):
        groups.handle(base(name, role, request="group_data", group_size=2))
    wait = held("node_one", "lava_wait_all", messageID="m", waitrole="extra")
    assert answer(groups, wait) == WAIT

    skip(groups, "node_two")

    assert again(groups, wait) == {**ACK, "message": {}}


def test_a_skipped_member_closes_like_any_other() -> None:
    groups = group_of("node_one", "node_two")
    skip(groups, "node_two")
    answer(groups, base("node_one", request="lava_send", messageID="lava_vm_stop", message={}))
    wait = held("node_one", "lava_wait_all", messageID="lava_vm_stop")
    assert answer(groups, wait) == WAIT

    answer(groups, base("node_two", request="lava_send", messageID="lava_vm_stop", message={}))

    assert set(again(groups, wait)["message"]) == {"node_one", "node_two"}


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


@pytest.mark.parametrize(
    ("first", "second", "served"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", None, False),
        (None, "b", False),
        (None, None, True),
    ],
)
def test_a_name_belongs_to_the_program_that_came_first(
    first: str | None, second: str | None, served: bool
) -> None:
    groups = Asked()
    answer(groups, base("node_one", request="group_data", group_size=2, instance=first))

    sent = answer(groups, base("node_one", request="lava_send", messageID="m", instance=second))

    assert (sent == ACK) is served


@pytest.mark.parametrize("given", [None, "wrong", "s3cre", 7, "\ud800"])
def test_without_the_right_token_nothing_is_served(given: Any) -> None:
    groups = Asked(token="s3cret")
    request = base("node_one", request="lava_send", messageID="m", group_size=1)

    assert answer(groups, {**request, "token": given}) == NACK
    assert "token" in str(answer(groups, {**request, "token": given, "hold": True}))
    assert answer(groups, {**request, "token": "s3cret"}) == ACK


@pytest.mark.parametrize(
    ("own", "given", "local", "told"),
    [
        (None, None, True, True),
        (None, None, False, False),
        (None, "any", False, False),
        ("s3cret", None, True, True),
        ("s3cret", None, False, False),
        ("s3cret", "s3cret", False, True),
    ],
)
def test_the_status_is_for_this_machine_and_for_who_has_the_token(
    own: str | None, given: str | None, local: bool, told: bool
) -> None:
    request = {"request": "lava_status", "token": given}

    reply = answer(Asked(token=own), request, local=local)

    assert reply == ({**ACK, "message": {"groups": {}}} if told else NACK)


def test_the_status_says_who_is_there_and_who_waits_for_what_and_no_message() -> None:
    groups = Asked()
    groups.handle(base("node_one", "host", request="group_data", group_size=3), now=100)
    groups.handle(base("node_two", "guest", request="lava_send", messageID="m"), now=101)
    sent = base("node_two", "guest", request="lava_send", messageID="m", message={"k": "s3cret"})
    groups.handle(sent, now=102)
    groups.handle({**watch("node_one"), "role": "host"}, now=103)
    groups.handle(held("node_one", "lava_wait_all", messageID="m", waitrole="guest"), now=104)
    groups.handle(base("node_two", request="lava_failed", reason="no boot"), now=105)
    groups.handle(base("node_two", request="lava_wait", messageID="lava_vm_stop"), now=106)
    groups.handle(base("node_two", request="clear_group"), now=107)
    groups.handle(held("node_one", "lava_wait", messageID="lava_vm_stop"), now=108)

    status = groups_in(groups, now=110)

    assert "s3cret" not in str(status)
    assert status == {
        "group": {
            "size": 3,
            "age_s": 10,
            "members": {
                "node_one": {
                    "role": "host",
                    "hostname": "dispatcher",
                    "present": True,
                    "failed": None,
                    "cleared": False,
                },
                "node_two": {
                    "role": "guest",
                    "hostname": "dispatcher",
                    "present": False,
                    "failed": "no boot",
                    "cleared": True,
                },
            },
            "waits": [
                {
                    "client": "node_one",
                    "request": "lava_wait",
                    "messageID": "lava_vm_stop",
                    "waitrole": None,
                    "for_s": 2,
                }
            ],
        }
    }


def test_the_status_tells_of_clients_that_poll_since_they_began() -> None:
    groups = group_of("node_one", "node_two")
    poll = base("node_one", request="lava_wait", messageID="m")
    for now in (10, 13, 16):
        groups.handle(poll, now=now)

    (wait,) = groups_in(groups, now=17)["group"]["waits"]
    assert (wait["client"], wait["for_s"]) == ("node_one", 7)


def test_the_bundles_wait_for_the_failed_but_not_for_the_gone() -> None:
    groups = group_of("node_one", "node_two", "node_three")
    first = held("node_one", "aggregate", bundle="a", sub_id="1.0")
    answer(groups, watch("node_two"))
    answer(groups, base("node_three", request="lava_failed", reason="no boot"))
    assert answer(groups, first) == WAIT

    break_off(groups, watch("node_two"))
    assert again(groups, first) == WAIT
    answer(groups, base("node_three", request="aggregate", bundle="c", sub_id="1.2"))

    assert again(groups, first) == {
        **ACK,
        "message": {"bundle": {"node_one": "a", "node_three": "c"}},
    }


def test_the_bundles_do_not_wait_for_who_has_left_without_one() -> None:
    groups = group_of("node_one", "node_two")
    first = held("node_one", "aggregate", bundle="a", sub_id="1.0")
    assert answer(groups, first) == WAIT

    answer(groups, base("node_two", request="clear_group"))

    assert again(groups, first) == {**ACK, "message": {"bundle": {"node_one": "a"}}}


def test_a_client_that_polls_for_bundles_waits_for_all_as_in_lava() -> None:
    groups = group_of("node_one", "node_two")
    first = base("node_one", request="aggregate", bundle="a", sub_id="1.0")
    answer(groups, base("node_two", request="lava_failed", reason="no boot"))
    answer(groups, base("node_two", request="clear_group"))

    assert [answer(groups, first) for _ in range(9)] == [WAIT] * 9


@pytest.mark.parametrize(
    ("timeout", "patience_s"),
    [
        (None, PATIENCE_S),
        (60, PATIENCE_S),
        (3 * PATIENCE_S, 3 * PATIENCE_S),
        (10**400, LONGEST_PATIENCE_S),
        (float("inf"), LONGEST_PATIENCE_S),
        (float("nan"), PATIENCE_S),
        ("long", PATIENCE_S),
    ],
)
def test_a_group_that_nobody_uses_goes_after_its_longest_time_limit(
    timeout: Any, patience_s: float
) -> None:
    groups = Asked()
    request = base("node_one", request="group_data", group_size=2, timeout=timeout)
    groups.handle(request, now=1000)

    assert groups.expire(1000 + patience_s) == []
    assert groups.expire(1001 + patience_s) == ["group"]
    assert answer(groups, base("node_one", request="group_data")) == NACK


def test_a_group_is_used_while_somebody_is_connected() -> None:
    groups = group_of("node_one", "node_two")
    groups.handle(watch("node_one"), now=0)

    assert groups.expire(9 * PATIENCE_S) == []
    groups.withdraw(groups.hold(watch("node_one")), 9 * PATIENCE_S)
    assert groups.expire(10 * PATIENCE_S) == []
    assert groups.expire(10 * PATIENCE_S + 1) == ["group"]


def test_a_group_that_has_sent_too_much_is_refused_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "WEIGHT_LIMIT", 4000)
    groups = group_of("node_one")

    def send(message_id: str) -> Any:
        request = base("node_one", request="lava_send", messageID=message_id)
        return answer(groups, request, size=1000)

    assert [send(message_id) for message_id in ("a", "b", "c", "a")] == [ACK, ACK, NACK, ACK]
    wait = base("node_one", request="lava_wait", messageID="b")
    assert answer(groups, wait) == {**ACK, "message": {"node_one": {}}}


@pytest.mark.parametrize(("limit", "value"), [("GROUP_LIMIT", 3), ("WEIGHT_LIMIT", 10_000)])
def test_too_much_makes_the_groups_go_that_nobody_used_for_long(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups_module, limit, value)
    groups = Asked()

    def use(name: str, **fields: Any) -> Any:
        request = base("node_one", request="lava_send", messageID="m", group_name=name)
        return answer(groups, {**request, **fields}, size=1000)

    for name in ("held", "old", "used"):
        assert use(name, group_size=2) == ACK
    answer(groups, held("node_one", "lava_wait", messageID="n", group_name="held"))
    use("used")
    for name in ("new", "newer"):
        assert use(name, group_size=2) == ACK

    assert groups_in(groups).keys() == {"held", "new", "newer"}
