# SPDX-License-Identifier: MIT
"""However the members' requests interleave, a sync lets nobody through early and all in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.multinode.groups import Groups
from lava_vmgroup.multinode.wire import Response

ROUNDS = 3


@dataclass(slots=True, kw_only=True)
class Member:
    """Enters one sync `ROUNDS` times, as a client that polls or as one that is held."""

    name: str
    hold: bool
    entered: int = 0
    released: int = 0
    waiting: bool = False

    @property
    def request(self) -> dict[str, Any]:
        return {
            "request": "lava_sync",
            "client_name": self.name,
            "group_name": "group",
            "messageID": "barrier",
            "hold": self.hold,
        }


@dataclass(slots=True, kw_only=True)
class Group:
    """Drives the members and checks that nobody is released before everybody entered."""

    members: list[Member]
    groups: Groups = field(default_factory=Groups)

    def __post_init__(self) -> None:
        for member in self.members:
            self.groups.handle(
                {
                    **member.request,
                    "request": "group_data",
                    "group_size": len(self.members),
                    "hostname": "dispatcher",
                    "role": "tester",
                }
            )

    def step(self, member: Member) -> None:
        """Let `member` make its next request, if it is free to make one."""
        if member.released == ROUNDS or (member.hold and member.waiting):
            return
        if not member.waiting:
            member.entered += 1
        outcome = self.groups.handle(member.request)
        self._take(member, Response.WAIT if outcome.reply is None else outcome.reply.response)
        for hold, reply in outcome.released:
            self._take(self._named(hold.request.client), reply.response)

    def _named(self, name: str) -> Member:
        return next(member for member in self.members if member.name == name)

    def _take(self, member: Member, response: Response) -> None:
        member.waiting = response is Response.WAIT
        if member.waiting:
            return
        assert response is Response.ACK
        member.released += 1
        assert all(other.entered >= member.released for other in self.members)


@given(
    holds=st.lists(st.booleans(), min_size=1, max_size=5),
    order=st.lists(st.integers(min_value=0), max_size=60),
)
def test_a_sync_releases_nobody_early_and_everybody_in_the_end(
    holds: list[bool], order: list[int]
) -> None:
    members = [Member(name=f"node{index}", hold=hold) for index, hold in enumerate(holds)]
    group = Group(members=members)

    for turn in order:
        group.step(members[turn % len(members)])
    for _ in range(2 * ROUNDS):
        for member in members:
            group.step(member)

    assert [member.released for member in members] == [ROUNDS] * len(members)
