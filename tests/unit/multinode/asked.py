# SPDX-License-Identifier: MIT
"""Groups that are asked as a server asks them, and requests to ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lava_vmgroup.multinode.groups import Groups, Handled
from lava_vmgroup.multinode.member import Hold, Released

ACK = {"response": "ack"}
NACK = {"response": "nack"}
WAIT = {"response": "wait"}


def base(client: str, role: str = "tester", **fields: Any) -> dict[str, Any]:
    return {
        "client_name": client,
        "group_name": "group",
        "hostname": "dispatcher",
        "role": role,
        **fields,
    }


class Asked(Groups):
    """Groups that remember what is held and what became of it."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__(token)
        self.holds: list[tuple[dict[str, Any], Hold]] = []
        self.answers: dict[Hold, dict[str, Any]] = {}

    def handle(self, value: Any, **circumstances: Any) -> Handled:
        outcome = super().handle(value, **circumstances)
        if outcome.hold is not None:
            self.holds.append((value, outcome.hold))
        self.note(outcome.released)
        return outcome

    def note(self, released: Sequence[Released] | None) -> None:
        for hold, reply in released or ():
            assert hold not in self.answers, "a held request is answered once"
            self.answers[hold] = reply.to_json()

    def hold(self, request: Any) -> Hold:
        """The last hold of a request."""
        return [hold for asked, hold in self.holds if asked == request][-1]


def answer(groups: Groups, request: dict[str, Any], **circumstances: Any) -> dict[str, Any] | None:
    """The answer as a client reads it; a request that is held has to wait."""
    outcome = groups.handle(request, **circumstances)
    if outcome.reply is None:
        return None if outcome.hold is None else WAIT
    return outcome.reply.to_json()


def again(groups: Asked, request: dict[str, Any]) -> dict[str, Any]:
    """The fate of a request that was held."""
    return groups.answers.get(groups.hold(request), WAIT)


def groups_in(groups: Groups, now: float = 0.0) -> dict[str, Any]:
    """The status of all groups."""
    reply = answer(groups, {"request": "lava_status"}, now=now)
    assert reply is not None
    described: dict[str, Any] = reply["message"]["groups"]
    return described


def group_of(*clients: str, size: int = 0) -> Asked:
    groups = Asked()
    for client in clients:
        groups.handle(base(client, request="group_data", group_size=size or len(clients)))
    return groups


def held(client: str, request: str, **fields: Any) -> dict[str, Any]:
    return base(client, request=request, hold=True, **fields)


def watch(client: str, **fields: Any) -> dict[str, Any]:
    return held(client, "lava_watch", **fields)


def break_off(groups: Asked, request: dict[str, Any]) -> None:
    """Do as a server does when a watch's connection ends and nothing new comes."""
    hold = groups.hold(request)
    if groups.withdraw(hold, 0):
        groups.note(groups.lose(hold.request))


def exists(groups: Groups) -> bool:
    """Return True if the group lives; without a size, no new one is made."""
    return answer(groups, base("node_one", request="lava_send", messageID="any")) == ACK
