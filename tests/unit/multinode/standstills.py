# SPDX-License-Identifier: MIT
"""A group of three that stands still, and the words of its members."""

from __future__ import annotations

from typing import Any

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


def group() -> Asked:
    return group_of("host", "vm1", "vm2")


def waiting(client: str, command: str = "lava_sync", **fields: Any) -> dict[str, Any]:
    """A wait of a test, as its dispatcher asks for it."""
    return held(client, command, **{"messageID": "x", "of_test": True, **fields})


def end_tests(groups: Asked, *clients: str, ended: bool = True) -> None:
    for client in clients:
        assert answer(groups, base(client, request="lava_tests", ended=ended)) == ACK


def send(groups: Asked, client: str, message_id: str = "x") -> None:
    answer(groups, base(client, request="lava_send", messageID=message_id, message={}))


def told(groups: Asked, request: dict[str, Any]) -> Any:
    """The standstill that a wait was told of; None if it only waits."""
    return again(groups, request).get("standstill")


def ask_again(groups: Asked, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask as a client does that was told of the first standstill."""
    seen = [{**request, "seen": 1} for request in requests]
    for request in seen:
        assert answer(groups, request) == WAIT
    return seen


def confirm(groups: Asked, *clients: str, seen: int = 1) -> None:
    for client in clients:
        assert answer(groups, base(client, request="lava_blocked", seen=seen)) == ACK


TOGETHER = "vm1 and vm2 wait in lava-sync 'x' for host, whose tests have ended"
