# SPDX-License-Identifier: MIT
"""When a group goes that nobody uses, and what too much is."""

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
    answer,
    base,
    group_of,
    groups_in,
    held,
    watch,
)


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


def test_syncs_weigh_as_much_as_their_names_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "WEIGHT_LIMIT", 4500)
    groups = group_of("node_one", "node_two")

    def enter(letter: str) -> Any:
        return answer(groups, base("node_one", request="lava_sync", messageID=1000 * letter))

    assert [enter(letter) for letter in "abac"] == [WAIT, WAIT, WAIT, NACK]
    # A name that was refused is no sync.
    assert answer(groups, base("node_two", request="lava_sync", messageID=1000 * "c")) == NACK


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
