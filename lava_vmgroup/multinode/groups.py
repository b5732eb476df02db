# SPDX-License-Identifier: MIT
"""All groups of a coordinator, and the checks of a request's token; no sockets, no clock.

Times come from the caller's clock, in seconds; it only has to go forward.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lava_vmgroup.multinode.group import Group
from lava_vmgroup.multinode.member import Hold, Released
from lava_vmgroup.multinode.waits import look_for_standstill, who_waits
from lava_vmgroup.multinode.wire import (
    WAIT,
    Reply,
    Request,
    RequestRefused,
    Response,
    Verb,
    wants_hold,
)

GROUP_LIMIT = 10_000
WEIGHT_LIMIT = 1024 * 1024 * 1024
"""The most groups, and the most bytes of their members' data, before unused groups are dropped."""
MEMBER_LIMIT = 10_000
"""Members of the largest group that is admitted; no lab has that many devices."""

_ENDED = Reply(response=Response.NACK, reason="the group has ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """The result of a request.

    Without a reply and a hold, the caller closes the connection.
    """

    reply: Reply | None = None
    hold: Hold | None = None
    """Set if the connection stays open: until the answer, or for a watch also after it."""
    released: Sequence[Released] = ()
    """Requests that were held before and have their answers now."""


class Groups:
    """All groups of a coordinator; for use in one thread."""

    def __init__(self, token: str | None = None) -> None:
        """Serve only requests that have the `token`, if there is one."""
        self._token = None if token is None else _bytes(token)
        self._groups: dict[str, Group] = {}  # in the order of their last use
        self._weight = 0

    def handle(self, value: Any, *, now: float = 0.0, size: int = 0, local: bool = True) -> Handled:
        """Serve a request, JSON text of `size` bytes, and return the result.

        `local` is True for a client on this machine.  A bad request gets a refusal and raises
        nothing.
        """
        try:
            if _is_status(value):
                return Handled(reply=self._status(value, now, local))
            if not self._has_token(value):
                raise RequestRefused("the token is missing or wrong")
            request = Request.parse(value, size)
            group = self._admit(request, now)
        except RequestRefused as refused:
            return Handled(reply=_refusal(value, refused))
        try:
            reply = self._serve(group, request)
        except RequestRefused as refused:
            reply = _refusal(value, refused)
        self._weight += group.weight - group.counted
        group.counted = group.weight
        self._make_room(group)
        released = self._settle(group)
        hold = self._hold(group, request, reply, now)
        released = [*released, *look_for_standstill(group, request)]
        return Handled(
            reply=None if reply is WAIT and hold else reply, hold=hold, released=released
        )

    def withdraw(self, hold: Hold, now: float) -> bool:
        """Forget a held request whose connection has closed.

        Return True if that was the last presence of a member that has not left the group.  The
        caller then calls `lose` after a while, so that the member may connect again in between.
        """
        group = self._groups.get(hold.request.group)
        if group is not None:
            group.used = now
            group.withdraw(hold)
            if hold.request.command is not Verb.WATCH:
                group.standstill = None
        return self._is_missing(hold.request)

    def lose(self, request: Request) -> Sequence[Released] | None:
        """Count the member that made this watch as failed, and return the requests this answers.

        Return None if the member has connected again or has left the group.
        """
        group = self._groups.get(request.group)
        if group is None or not self._is_missing(request):
            return None
        group.lose(request)
        group.standstill = None
        return self._settle(group)

    def expire(self, now: float) -> list[str]:
        """Drop the groups that were unused for longer than their patience; return their names."""
        idle = [
            name
            for name, group in self._groups.items()
            if not group.in_use and now - group.used > group.patience_s
        ]
        for name in idle:
            self._drop(name)
        return idle

    def _serve(self, group: Group, request: Request) -> Reply | None:
        if request.command is Verb.WAITS:
            return Reply(response=Response.ACK, message={"lines": list(who_waits(group))})
        return group.serve(request)

    def _is_missing(self, request: Request) -> bool:
        """Return True if the member that made this watch is in the group without a presence."""
        group = self._groups.get(request.group)
        member = group.members.get(request.client) if group else None
        return (
            request.command is Verb.WATCH
            and group is not None
            and member is not None
            and member.instance == request.instance
            and request.client not in group.cleared
            and not group.watched(request.client)
        )

    def _admit(self, request: Request, now: float) -> Group:
        group = self._groups.get(request.group)
        if group is None:
            if not request.group_size:
                raise RequestRefused(f"unknown group {request.group!r}, and no group_size")
            if request.group_size > MEMBER_LIMIT:
                raise RequestRefused(f"a group has {MEMBER_LIMIT} members at most")
            group = Group(name=request.group, size=request.group_size, born=now, used=now)
        group.admit(request)
        group.used = now
        self._groups.pop(request.group, None)
        self._groups[request.group] = group
        return group

    def _hold(self, group: Group, request: Request, reply: Reply | None, now: float) -> Hold | None:
        """Record that the client waits; return the hold if its connection stays open.

        A client that does not ask for a hold polls: it is recorded, and its connection closes.
        """
        hold = Hold(request=request, since=now)
        poll = group.polls.pop(request.client, None)
        if reply is WAIT and not request.hold:
            same = poll is not None and poll.request.asks_like(request)
            group.polls[request.client] = poll if poll and same else hold
            return None
        watches = request.command is Verb.WATCH and request.hold
        if watches:
            group.watches[hold] = None
        if reply is WAIT:
            group.holds[hold] = None
        return hold if watches or reply is WAIT else None

    def _settle(self, group: Group) -> Sequence[Released]:
        """Return the held requests that have their answers now; drop the group if it is over."""
        released = group.recheck()
        if group.over:
            self._drop(group.name)
            released = [*released, *((hold, _ENDED) for hold in group.holds)]
            group.holds.clear()
        return released

    def _drop(self, name: str) -> None:
        self._weight -= self._groups.pop(name).counted

    def _make_room(self, newest: Group) -> None:
        """Drop the groups that were unused for longest until the limits hold.

        `newest` and groups with open connections stay.
        """
        if len(self._groups) <= GROUP_LIMIT and self._weight <= WEIGHT_LIMIT:
            return
        for name in [name for name, group in self._groups.items() if not group.in_use]:
            if name != newest.name:
                self._drop(name)
            if len(self._groups) <= GROUP_LIMIT and self._weight <= WEIGHT_LIMIT:
                return

    def _has_token(self, value: Any) -> bool:
        if self._token is None:
            return True
        given = value.get("token") if isinstance(value, Mapping) else None
        return isinstance(given, str) and hmac.compare_digest(_bytes(given), self._token)

    def _status(self, value: Any, now: float, local: bool) -> Reply:
        """Return the state of the groups, without the data that members sent each other."""
        if not local and (self._token is None or not self._has_token(value)):
            raise RequestRefused("only this machine and who has the token may ask for the status")
        groups = {name: _describe(group, now) for name, group in self._groups.items()}
        return Reply(response=Response.ACK, message={"groups": groups})


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")


def _is_status(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("request") == Verb.STATUS.value


def _refusal(value: Any, refused: RequestRefused) -> Reply:
    # LAVA's clients expect a bare nack; only ours, which ask for holds, get the reason.
    return Reply(response=Response.NACK, reason=refused.message if wants_hold(value) else None)


def _describe(group: Group, now: float) -> dict[str, Any]:
    present = {watch.request.client for watch in group.watches}
    waits = [hold for hold in group.holds if hold.request.command is not Verb.WATCH]
    return {
        "size": group.size,
        "age_s": now - group.born,
        "members": {
            name: {
                "role": member.role,
                "hostname": member.hostname,
                "present": name in present,
                "failed": group.failed.get(name),
                "cleared": name in group.cleared,
            }
            for name, member in group.members.items()
        },
        "lines": list(who_waits(group)),
        "waits": [
            {
                "client": hold.request.client,
                "request": hold.request.command.value,
                "messageID": hold.request.message_id,
                "waitrole": hold.request.wait_role,
                "for_s": now - hold.since,
            }
            for hold in (*waits, *group.polls.values())
        ],
    }
