# SPDX-License-Identifier: MIT
"""A member that fails ends the waits that it makes vain, and no others."""

from __future__ import annotations

from typing import Any

import pytest

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

FAILED = {**NACK, "failed": {"node_two": "no boot"}}


def failed_group() -> Asked:
    groups = group_of("node_one", "node_two", "node_three")
    failure = base("node_two", request="lava_failed", reason="no boot")
    assert answer(groups, failure) == ACK
    return groups


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {"request": "lava_wait", "messageID": "m"},
        {"request": "lava_wait_all", "messageID": "m"},
        {"request": "lava_wait_all", "messageID": "m", "waitrole": "tester"},
        {"request": "lava_sync", "messageID": "m"},
    ],
    ids=str,
)
def test_after_a_failure_a_wait_that_is_not_satisfied_names_the_failed(
    fields: dict[str, Any], hold: bool
) -> None:
    assert answer(failed_group(), base("node_one", **fields, hold=hold)) == FAILED


@pytest.mark.parametrize("command", ["lava_wait", "lava_wait_all", "lava_sync"])
def test_a_failure_ends_waits_already_held(command: str) -> None:
    groups = group_of("node_one", "node_two")
    wait = held("node_one", command, messageID="m")
    assert answer(groups, wait) == WAIT

    groups.handle(base("node_two", request="lava_failed", reason="no boot"))

    assert again(groups, wait) == FAILED


def test_a_failure_ends_the_wait_for_the_others_to_come() -> None:
    groups = Asked()
    wait = held("node_one", "group_data", group_size=3)
    assert answer(groups, wait) == WAIT

    groups.handle(base("node_two", request="lava_failed", reason="no boot", group_size=3))

    assert again(groups, wait) == FAILED


def test_those_who_come_after_a_failed_member_has_left_hear_of_it() -> None:
    groups = Asked()
    groups.handle(base("node_two", request="lava_failed", reason="no boot", group_size=3))
    groups.handle(base("node_two", request="clear_group", group_size=3))

    assert answer(groups, base("node_one", request="group_data", group_size=3)) == FAILED


def test_a_failed_group_goes_when_all_its_members_have_left() -> None:
    groups = failed_group()

    for client in ("node_one", "node_two", "node_three"):
        assert exists(groups)
        groups.handle(base(client, request="clear_group"))

    assert not exists(groups)


def test_after_a_failure_a_satisfied_wait_is_answered() -> None:
    groups = failed_group()
    groups.handle(base("node_three", request="lava_send", messageID="m"))

    assert answer(groups, held("node_one", "lava_wait", messageID="m")) == {
        **ACK,
        "message": {"node_three": {}},
    }


def test_the_wait_for_all_to_stop_outlives_a_failure() -> None:
    groups = failed_group()
    wait = held("node_one", "lava_wait_all", messageID="lava_vm_stop")
    for client in ("node_one", "node_three"):
        groups.handle(base(client, request="lava_send", messageID="lava_vm_stop"))
    assert answer(groups, wait) == WAIT

    groups.handle(base("node_two", request="lava_send", messageID="lava_vm_stop"))

    assert again(groups, wait) == {
        **ACK,
        "message": {"node_one": {}, "node_two": {}, "node_three": {}},
    }


def test_a_failure_without_a_reason_is_refused() -> None:
    groups = group_of("node_one")

    assert answer(groups, base("node_one", request="lava_failed")) == NACK


def test_who_was_refused_a_sync_does_not_stand_in_it() -> None:
    groups = group_of("node_one", "node_two")
    sync = held("node_one", "lava_sync", messageID="m")
    groups.handle(sync)
    groups.handle(base("node_two", request="lava_failed", reason="no boot"))
    assert again(groups, sync) == FAILED

    assert answer(groups, held("node_two", "lava_sync", messageID="m")) == FAILED
