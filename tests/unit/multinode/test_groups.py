# SPDX-License-Identifier: MIT
"""Answers of groups: to polling clients as LAVA's, with deliberate differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.multinode.group import LONGEST_PATIENCE_S
from lava_vmgroup.multinode.wire import Verb
from tests.unit.multinode.asked import (
    ACK,
    NACK,
    WAIT,
    Asked,
    again,
    answer,
    base,
    exists,
    group_of,
    held,
)

TRANSCRIPTS = json.loads(Path(__file__).with_name("transcripts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda item: item["name"])
def test_a_polling_client_is_answered_as_lava_answers_it(transcript: dict[str, Any]) -> None:
    groups = Asked()
    size, members = transcript["size"], transcript["members"]
    for client, role in members.items():
        groups.handle(base(client, role, request="group_data", group_size=size))

    for step in transcript["steps"]:
        fields = {key: step[key] for key in step if key not in {"from", "role", "expect", "lava"}}
        client = step["from"]
        role = step.get("role") or members.get(client, "")
        request = base(client, role, **fields) if client else {**fields, "group_name": "group"}
        assert answer(groups, request) == step["expect"], step

    for client, role in members.items():
        assert answer(groups, base(client, role, request="clear_group")) == ACK
    assert not exists(groups)


@pytest.mark.parametrize(
    "missing", ["request", "client_name", "group_name", "hostname", "role", "group_size"]
)
def test_a_first_request_with_something_missing_is_refused_and_makes_no_group(missing: str) -> None:
    groups = Asked()
    request = base("node_one", request="lava_send", messageID="m", group_size=2)
    del request[missing]

    assert answer(groups, request) == NACK
    assert not exists(groups)


@pytest.mark.parametrize("size", [0, None, "0"])
def test_a_group_without_members_is_refused(size: Any) -> None:
    groups = Asked()

    assert answer(groups, base("c", request="group_data", group_size=size)) == NACK


def test_the_size_of_a_group_may_be_text() -> None:
    groups = Asked()

    assert answer(groups, base("c", request="lava_send", messageID="m", group_size="2")) == ACK


def test_an_unknown_role_is_refused() -> None:
    groups = group_of("node_one", "node_two")

    assert answer(groups, base("node_one", request="lava_wait_all", waitrole="nobody")) == NACK


def test_a_role_that_nobody_has_is_refused_when_all_are_there() -> None:
    groups = group_of("node_one", size=2)
    wait = held("node_one", "lava_wait_all", messageID="m", waitrole="nobody")
    assert answer(groups, wait) == WAIT

    groups.handle(base("node_two", request="group_data"))

    assert again(groups, wait) == {**NACK, "reason": "nobody has the role 'nobody'"}


def test_a_client_too_many_is_refused_and_not_let_in() -> None:
    groups = group_of("node_one", "node_two")

    assert answer(groups, base("node_three", request="group_data", group_size=2)) == NACK
    assert answer(groups, base("node_one", request="group_data")) == {
        "response": "group_data",
        "roles": {"node_one": "tester", "node_two": "tester"},
    }


def test_a_client_keeps_its_first_role() -> None:
    groups = group_of("node_one", "node_two")

    reply = answer(groups, base("node_one", "other", request="group_data"))

    assert reply is not None
    assert reply["roles"]["node_one"] == "tester"


def test_a_wait_with_a_role_waits_for_members_still_to_come() -> None:
    groups = Asked()
    groups.handle(base("server", "server", request="group_data", group_size=3))
    groups.handle(base("client_one", "client", request="lava_send", messageID="m"))
    wait = base("server", "server", request="lava_wait_all", messageID="m", waitrole="client")

    assert answer(groups, wait) == WAIT
    groups.handle(base("client_two", "client", request="lava_send", messageID="m"))

    assert answer(groups, wait) == {**ACK, "message": {"client_one": {}, "client_two": {}}}


def test_a_message_may_be_sent_after_a_sync_with_the_same_id() -> None:
    groups = group_of("node_one")
    sync = base("node_one", request="lava_sync", messageID="m")
    assert [answer(groups, sync) for _ in range(2)] == [WAIT, {**ACK, "message": "m"}]

    sent = answer(groups, base("node_one", request="lava_send", messageID="m", message={"k": "v"}))

    assert sent == ACK
    assert answer(groups, base("node_one", request="lava_wait", messageID="m")) == {
        **ACK,
        "message": {"node_one": {"k": "v"}},
    }


def test_clearing_twice_counts_once() -> None:
    groups = group_of("node_one", "node_two")

    assert answer(groups, base("node_two", request="clear_group")) == ACK
    assert answer(groups, base("node_two", request="clear_group")) == ACK
    assert exists(groups)

    assert answer(groups, base("node_one", request="clear_group")) == ACK
    assert not exists(groups)


def test_a_group_whose_others_never_came_goes_with_its_only_member() -> None:
    groups = Asked()
    groups.handle(base("node_one", request="group_data", group_size=2))

    assert answer(groups, base("node_one", request="clear_group")) == ACK
    assert not exists(groups)


def test_a_held_wait_is_answered_once_somebody_sends() -> None:
    groups = group_of("node_one", "node_two")
    wait = held("node_one", "lava_wait", messageID="m")
    assert answer(groups, wait) == WAIT
    assert again(groups, wait) == WAIT

    groups.handle(base("node_two", request="lava_send", messageID="m", message={"k": "v"}))

    assert again(groups, wait) == {**ACK, "message": {"node_two": {"k": "v"}}}


def test_the_last_to_enter_a_held_sync_is_answered_at_once() -> None:
    groups = group_of("node_one", "node_two")
    first, last = (held(name, "lava_sync", messageID="m") for name in ("node_one", "node_two"))
    assert answer(groups, first) == WAIT

    assert answer(groups, last) == {**ACK, "message": "m"}
    assert again(groups, first) == {**ACK, "message": "m"}


def test_a_held_sync_asked_twice_by_one_member_is_one_entry() -> None:
    groups = group_of("node_one", "node_two")
    sync = held("node_one", "lava_sync", messageID="m")

    assert [answer(groups, sync) for _ in range(2)] == [WAIT, WAIT]
    groups.handle(held("node_two", "lava_sync", messageID="m"))

    assert list(groups.answers.values()) == [{**ACK, "message": "m"}] * 2
    assert answer(groups, sync) == WAIT


def test_held_bundles_are_handed_out_without_a_pause() -> None:
    groups = group_of("node_one", "node_two")
    first = held("node_one", "aggregate", bundle="a", sub_id="1.0")
    assert answer(groups, first) == WAIT

    groups.handle(base("node_two", request="aggregate", bundle="b", sub_id="1.1"))

    assert again(groups, first) == {
        **ACK,
        "message": {"bundle": {"node_one": "a", "node_two": "b"}},
    }


def test_a_refusal_says_why_to_clients_that_know_of_holds() -> None:
    groups = group_of("node_one")

    reply = answer(groups, held("node_one", "lava_wait_all", waitrole="nobody"))

    assert reply == {**NACK, "reason": "nobody has the role 'nobody'"}


def test_a_held_request_ends_with_its_group() -> None:
    groups = group_of("node_one")
    wait = held("node_one", "lava_wait", messageID="m", group_size=2)
    groups.handle(wait)

    groups.handle(base("node_one", request="clear_group"))
    assert again(groups, wait) == {**NACK, "reason": "the group has ended"}


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
VALUE = ANY | st.lists(ANY, max_size=2) | st.dictionaries(st.text(max_size=2), ANY, max_size=2)
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "request": st.sampled_from([command.value for command in Verb]) | VALUE,
        "client_name": st.sampled_from(["node_one", "node_two", "other"]) | VALUE,
        "group_name": st.sampled_from(["group", "another"]) | VALUE,
        "group_size": st.integers(0, 3) | VALUE,
        "hostname": st.just("dispatcher") | VALUE,
        "role": st.sampled_from(["tester", "data"]) | VALUE,
        "messageID": st.sampled_from(["m", "lava_vm_stop"]) | VALUE,
        "message": VALUE,
        "waitrole": st.sampled_from(["tester", "nobody"]) | VALUE,
        "bundle": VALUE,
        "sub_id": st.sampled_from(["1.0", "1.1"]) | VALUE,
        "reason": st.just("no boot") | VALUE,
        "ends_group": st.booleans() | VALUE,
        "instance": st.sampled_from(["a", "b"]) | VALUE,
        "call": VALUE,
        "timeout": VALUE,
        "token": VALUE,
        "hold": st.booleans() | VALUE,
    },
)


@given(requests=st.lists(REQUEST | VALUE, max_size=20))
def test_nothing_that_a_client_sends_raises(requests: list[Any]) -> None:
    groups = group_of("node_one", "node_two")

    for request in requests:
        groups.handle(request)
    for _, hold in groups.holds:
        groups.withdraw(hold, 0)
        groups.lose(hold.request)
    groups.expire(LONGEST_PATIENCE_S + 1)
