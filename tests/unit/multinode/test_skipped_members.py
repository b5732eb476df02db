# SPDX-License-Identifier: MIT
"""Members that are skipped keep nobody waiting."""

from __future__ import annotations

import pytest

from tests.unit.multinode.asked import (
    ACK,
    WAIT,
    Asked,
    again,
    answer,
    base,
    group_of,
    held,
)


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
