# SPDX-License-Identifier: MIT
"""What a coordinator knows, and what it answers; no sockets, no clock.

A client that polls is answered as LAVA v1's coordinator answers it, down to the ``wait`` that
the last one to enter a sync gets.  It differs where v1 is of no use to anyone:

- A wait with a role waits for every member of that role; v1 looks at one of them.
- `lava_wait_all` for an id that nobody sent yet says ``wait``; v1 says ``nack``.
- Syncs and messages with the same id do not touch each other, and a client that enters a sync
  again before the others have fetched their answer starts the next round of it.
- What cannot be served gets ``nack`` and harms nobody; a client too many is not let in.
- `clear_group` counts each member once.

A wait that is held (see `lava_vmgroup.multinode.wire`) is handled once, which does whatever it
does to the group, and rechecked after every other request, which only asks for the answer.

When a member has failed, waits that are not satisfied yet get ``nack`` with the names and the
reasons, because the failed one may be what they wait for.  Waits for ``lava_vm_stop`` go on: the
host waits for all VMs to close, and a failed VM says it has closed like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lava_vmgroup.multinode.wire import (
    Command,
    Reply,
    Request,
    RequestRefused,
    Response,
    wants_hold,
)

STOP_MESSAGE_ID = "lava_vm_stop"
"""The message by which each member says that it has ended its work."""
AGGREGATE_PAUSE = 2
"""How many polls v1 lets the first node wait after the last bundle, for that to be uploaded."""

_ACK = Reply(response=Response.ACK)
_WAIT = Reply(response=Response.WAIT)

_Sent = dict[str | None, dict[str, Mapping[str, Any]]]
"""What was sent: message id, then sender, then data."""


@dataclass(slots=True)
class _Sync:
    entered: set[str] = field(default_factory=set)
    """Who waits for the others in the open round."""
    released: set[str] = field(default_factory=set)
    """Who has not yet been told that the last round is complete."""


@dataclass(slots=True, kw_only=True)
class _Group:
    size: int
    roles: dict[str, str] = field(default_factory=dict)
    mailboxes: dict[str, _Sent] = field(default_factory=dict)
    """Per client: what was sent since it came."""
    sent: _Sent = field(default_factory=dict)
    syncs: dict[str | None, _Sync] = field(default_factory=dict)
    bundles: dict[str, Any] = field(default_factory=dict)
    aggregate_pause: int = AGGREGATE_PAUSE
    failed: dict[str, str] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        return len(self.roles) == self.size

    @property
    def over(self) -> bool:
        """Whether nobody needs the group any more.

        Members that are still to come must hear of a failure, so a group with one stays until
        all its members have been there; without, it goes with the last one present, as in v1.
        """
        needed = self.size if self.failed else len(self.roles)
        return len(self.cleared) >= needed

    def unsatisfied(self, request: Request) -> Reply:
        """The answer to a wait whose condition does not hold."""
        if self.failed and request.message_id != STOP_MESSAGE_ID:
            return Reply(response=Response.NACK, failed=dict(self.failed))
        return _WAIT


class Groups:
    """All groups of a coordinator."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def handle(self, value: Any) -> Reply | None:
        """Serve a request as received; None when the answer is to close the connection.

        Never raises for what a client sent.  A request to be held may be answered with ``wait``
        too; keep it then, and ask `recheck` after each further request.
        """
        try:
            request = Request.parse(value)
            group = self._admit(request)
            self._apply(group, request)
            return self._answer(group, request)
        except RequestRefused as refused:
            return _refusal(value, refused)

    def recheck(self, value: Any) -> Reply:
        """What a held request is answered now; ``wait`` while its condition does not hold."""
        try:
            request = Request.parse(value)
            group = self._groups.get(request.group)
            if group is None or request.client not in group.roles:
                raise RequestRefused(f"group {request.group!r} has ended")
            if request.command is Command.SYNC:
                return _held_sync(group, request)
            return self._answer(group, request) or _WAIT
        except RequestRefused as refused:
            return _refusal(value, refused)

    def _admit(self, request: Request) -> _Group:
        group = self._groups.get(request.group)
        if group is None:
            if not request.group_size:
                raise RequestRefused(f"unknown group {request.group!r}, and no group_size")
            group = _Group(size=request.group_size)
        if request.client not in group.roles:
            if request.hostname is None or request.role is None:
                raise RequestRefused("the first request of a client has its hostname and role")
            if group.complete:
                raise RequestRefused(f"group {request.group!r} has its {group.size} members")
            group.roles[request.client] = request.role
            group.mailboxes[request.client] = {}
        self._groups[request.group] = group
        return group

    def _apply(self, group: _Group, request: Request) -> None:
        """Do what a request does to its group, except for syncs and bundles."""
        match request.command:
            case Command.SEND:
                for sent in (group.sent, *group.mailboxes.values()):
                    sent.setdefault(request.message_id, {})[request.client] = request.message
            case Command.FAILED:
                if request.reason is None:
                    raise RequestRefused("lava_failed has a reason")
                group.failed[request.client] = request.reason
            case Command.CLEAR_GROUP:
                group.cleared.add(request.client)
                if group.over:
                    del self._groups[request.group]

    def _answer(self, group: _Group, request: Request) -> Reply | None:
        match request.command:
            case Command.GROUP_DATA:
                if not group.complete:
                    return group.unsatisfied(request)
                return Reply(response=Response.GROUP_DATA, roles=dict(group.roles))
            case Command.WAIT:
                return _wait(group, request)
            case Command.WAIT_ALL:
                return _wait_all(group, request)
            case Command.SYNC:
                return _sync(group, request)
            case Command.AGGREGATE:
                return _aggregate(group, request)
            case Command.COMPLETE:
                return None
            case Command.WATCH:
                return group.unsatisfied(request)
            case _:
                return _ACK


def _refusal(value: Any, refused: RequestRefused) -> Reply:
    # LAVA's own clients get the bare nack that they know.
    return Reply(response=Response.NACK, reason=refused.message if wants_hold(value) else None)


def _wait(group: _Group, request: Request) -> Reply:
    mailbox = group.mailboxes[request.client]
    if request.message_id not in mailbox:
        return group.unsatisfied(request)
    return Reply(response=Response.ACK, message=dict(mailbox[request.message_id]))


def _wait_all(group: _Group, request: Request) -> Reply:
    members = set(group.roles)
    if request.wait_role is not None:
        members = {name for name, role in group.roles.items() if role == request.wait_role}
        if not members:
            raise RequestRefused(f"nobody has the role {request.wait_role!r}")
        if not group.complete:
            # Members of the role may still be to come.
            return group.unsatisfied(request)
    sent = group.sent.get(request.message_id, {})
    if not members <= sent.keys():
        return group.unsatisfied(request)
    return Reply(response=Response.ACK, message=dict(sent))


def _sync(group: _Group, request: Request) -> Reply:
    sync = group.syncs.setdefault(request.message_id, _Sync())
    if request.client in sync.released:
        return _release(sync, request)
    sync.entered.add(request.client)
    if len(sync.entered) < group.size:
        return _not_yet(group, sync, request)
    # Whoever entered this round has fetched the one before, so nobody is forgotten here.
    sync.released, sync.entered = sync.entered, set()
    return _release(sync, request) if request.hold else _WAIT


def _held_sync(group: _Group, request: Request) -> Reply:
    sync = group.syncs.setdefault(request.message_id, _Sync())
    if request.client in sync.entered:
        return _not_yet(group, sync, request)
    return _release(sync, request)


def _release(sync: _Sync, request: Request) -> Reply:
    sync.released.discard(request.client)
    return Reply(response=Response.ACK, message=request.message or request.message_id)


def _not_yet(group: _Group, sync: _Sync, request: Request) -> Reply:
    reply = group.unsatisfied(request)
    if reply.response is Response.NACK:
        # Whoever was refused does not stand in the round, or it could release the others.
        sync.entered.discard(request.client)
    return reply


def _aggregate(group: _Group, request: Request) -> Reply:
    if not request.has_bundle or request.sub_id is None:
        raise RequestRefused("aggregate has a bundle and a sub_id")
    group.bundles[request.client] = request.bundle
    if not request.sub_id.endswith(".0"):
        return _ACK
    if len(group.bundles) < group.size:
        group.aggregate_pause = AGGREGATE_PAUSE
        return group.unsatisfied(request)
    if group.aggregate_pause and not request.hold:
        group.aggregate_pause -= 1
        return _WAIT
    group.aggregate_pause = AGGREGATE_PAUSE
    return Reply(response=Response.ACK, message={"bundle": dict(group.bundles)})
