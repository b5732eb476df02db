# SPDX-License-Identifier: MIT
"""One group of a coordinator: its members, the messages that they sent, and their waits.

A client that polls is answered as LAVA v1's coordinator answers it, down to the ``wait`` that
the last one to enter a sync gets.  The answers differ where v1's would help no client:

- A wait with a role waits for every member of that role; v1 looks at one of them.
- `lava_wait_all` for an id that nobody sent yet gets ``wait``; v1 answers ``nack``.
- Syncs and messages with the same id do not touch each other.  If a client enters a sync again
  before the others have fetched their answer, it starts the next round of the sync.
- A request that cannot be served gets ``nack`` and leaves the others alone.  A full group admits
  no further client.
- `clear_group` counts each member once.

When a member has failed, waits that are not satisfied yet get ``nack`` with the names and the
reasons, because they may need the failed member.  Two waits go on.  One is for ``lava_vm_stop``,
because a failed VM sends it like any other.  The other is the first node's wait for the bundles,
because a failed node hands in one, too.  Both do without members that have left.

A skipped member is no failure: syncs, and waits for all members or for those of a role, do without
it.  Only a wait for a message that nobody else sends is in vain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lava_vmgroup.multinode.bundles import Bundles
from lava_vmgroup.multinode.member import Hold, Member, Message, Released
from lava_vmgroup.multinode.standstill import Standstill
from lava_vmgroup.multinode.syncs import Sync
from lava_vmgroup.multinode.wire import ACK, WAIT, Reply, Request, RequestRefused, Response, Verb

STOP_MESSAGE_ID = "lava_vm_stop"
"""The message by which each member reports that it has ended its work."""
BROKE_OFF = "its connection to the coordinator broke off"
PATIENCE_S = 24 * 3600.0
LONGEST_PATIENCE_S = 30 * PATIENCE_S
"""Seconds for which an unused group stays: at least, and at most if a member's limit is longer."""
ENTRY_SIZE = 500
"""Bytes that a stored message, sync or bundle costs beside the client's data."""
WEIGHT_LIMIT = 256 * 1024 * 1024
"""Bytes that the members of one group may leave here."""


@dataclass(slots=True, kw_only=True)
class Group:
    """The state of a group; times are those of the caller's clock, in seconds."""

    name: str
    size: int
    born: float
    used: float
    """Time of the last request, or of the last end of a held one."""
    patience_s: float = PATIENCE_S
    members: dict[str, Member] = field(default_factory=dict)
    messages: int = 0
    sent: dict[str | None, dict[str, Message]] = field(default_factory=dict)
    """The last message of each sender, by message id."""
    syncs: dict[str | None, Sync] = field(default_factory=dict)
    bundles: Bundles = field(default_factory=Bundles)
    failed: dict[str, str] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    """The failed members that were canceled, or ended because another one was."""
    skipped: set[str] = field(default_factory=set)
    enders: set[str] = field(default_factory=set)
    """The members whose failure ends the group."""
    cleared: set[str] = field(default_factory=set)
    """The members that have left, by `clear_group` or because their connection broke off."""
    ended: set[str] = field(default_factory=set)
    """The members whose tests have ended.  A host's may begin again after all VMs have closed."""
    standstill: Standstill | None = None
    """Set while every member that is not out waits; see `lava_vmgroup.multinode.waits`."""
    standstills: int = 0
    """The number of standstills so far."""
    unconfirmed: set[str] = field(default_factory=set)
    """The members that have yet to confirm, in this standstill, that their tests only wait."""
    holds: dict[Hold, None] = field(default_factory=dict)
    watches: dict[Hold, None] = field(default_factory=dict)
    """The members' presences; they stay open after their answer."""
    polls: dict[str, Hold] = field(default_factory=dict)
    """The last request of each polling member that was answered with ``wait``."""
    changed: bool = False
    """True if held requests may have got their answers since the last `recheck`."""
    weight: int = 0
    """Bytes that the members have left here, roughly."""
    counted: int = 0
    """The part of `weight` that is in the sum over all groups."""
    weights: dict[tuple[str | None, ...], int] = field(default_factory=dict)
    """Bytes of each stored entry, so that a replaced one is not counted twice."""

    @property
    def complete(self) -> bool:
        """True when all members have come."""
        return len(self.members) == self.size

    @property
    def over(self) -> bool:
        """True when nobody needs the group any more.

        A failure must reach the members that are still to come, so a group with one stays until
        all its members have come and left.  Without a failure it ends when the last member that
        has come leaves, as in v1.
        """
        needed = self.size if self.failed else len(self.members)
        return len(self.cleared) >= needed

    def admit(self, request: Request) -> None:
        """Admit the client of a request, as a new member if it is one.

        Raises `RequestRefused` if the group is full, the name belongs to another program, or the
        first request lacks the hostname or the role.
        """
        member = self.members.get(request.client)
        if member is None:
            if request.hostname is None or request.role is None:
                raise RequestRefused("the first request of a client has its hostname and role")
            if self.complete:
                raise RequestRefused(f"group {self.name!r} has its {self.size} members")
            self._weigh(("member", request.client), request.size)
            self.members[request.client] = Member(
                role=request.role,
                hostname=request.hostname,
                instance=request.instance,
                came=self.messages,
            )
            self.changed = self.complete
        elif member.instance != request.instance:
            raise RequestRefused(
                f"another program speaks for {request.client!r} in group {self.name!r}"
            )
        self.patience_s = max(self.patience_s, min(request.timeout_s, LONGEST_PATIENCE_S))

    def serve(self, request: Request) -> Reply | None:
        """Carry out a request and return its answer; None means: close the connection."""
        match request.command:
            case Verb.SEND:
                return self._send(request)
            case Verb.FAILED:
                return self._fail(request)
            case Verb.SKIPPED:
                return self._skip(request)
            case Verb.CLEAR_GROUP:
                self.cleared.add(request.client)
                self.changed = True
                return ACK
            case Verb.TESTS:
                self._take_tests(request)
                return ACK
            case Verb.BLOCKED:
                if self.standstill is not None and request.seen == self.standstill.number:
                    self.unconfirmed.discard(request.client)
                return ACK
            case Verb.SYNC:
                return self._sync(request)
            case Verb.AGGREGATE:
                self.bundles.take(request)
                self._weigh(("bundle", request.client), request.size)
                self.changed = True
        return self.answer(request)

    def answer(self, request: Request) -> Reply | None:
        """Return the present answer to a request that was served; `WAIT` until it is satisfied."""
        match request.command:
            case Verb.GROUP_DATA:
                if not self.complete:
                    return self._unsatisfied(request)
                roles = {name: member.role for name, member in self.members.items()}
                return Reply(response=Response.GROUP_DATA, roles=roles)
            case Verb.WAIT:
                return self._wait(request)
            case Verb.WAIT_ALL:
                return self._wait_all(request)
            case Verb.SYNC:
                return self._held_sync(request)
            case Verb.AGGREGATE:
                return self.bundles.answer(request, self.size, self.cleared)
            case Verb.WATCH:
                return self._watch(request)
            case _:
                return None

    def recheck(self) -> Sequence[Released]:
        """Take the held requests that have their answers now, if anything has changed."""
        if not self.changed:
            return ()
        self.changed = False
        answers = ((hold, self._answer_again(hold.request)) for hold in self.holds)
        released = [(hold, reply) for hold, reply in answers if reply and reply is not WAIT]
        for hold, _ in released:
            del self.holds[hold]
        return released

    def withdraw(self, hold: Hold) -> None:
        """Forget a held request whose connection has closed; its client leaves the open sync."""
        self.watches.pop(hold, None)
        if hold not in self.holds:
            return
        del self.holds[hold]
        request = hold.request
        if request.command is Verb.SYNC and not any(
            other.request.client == request.client and other.request.asks_like(request)
            for other in self.holds
        ):
            self.syncs[request.message_id].entered.discard(request.client)

    def watched(self, client: str) -> bool:
        """Return True if the member holds its presence."""
        return any(watch.request.client == client for watch in self.watches)

    @property
    def in_use(self) -> bool:
        """True while a connection of a member is open."""
        return bool(self.holds or self.watches)

    def lose(self, request: Request) -> None:
        """Count the member that made this watch as failed and as having left."""
        self.failed.setdefault(request.client, BROKE_OFF)
        if request.ends_group:
            self.enders.add(request.client)
        self.cleared.add(request.client)
        self.changed = True

    def _answer_again(self, request: Request) -> Reply | None:
        try:
            return self.answer(request)
        except RequestRefused as refused:
            return Reply(response=Response.NACK, reason=refused.message)

    def _weigh(self, key: tuple[str | None, ...], size: int) -> None:
        size += ENTRY_SIZE
        weight = self.weight + size - self.weights.get(key, 0)
        if weight > WEIGHT_LIMIT:
            raise RequestRefused(f"group {self.name!r} has sent too much")
        self.weight, self.weights[key] = weight, size

    def _unsatisfied(self, request: Request) -> Reply:
        if self.failed and request.message_id != STOP_MESSAGE_ID:
            return self._given_up(self.failed)
        return WAIT

    def _given_up(self, failed: Mapping[str, str]) -> Reply:
        canceled = failed.keys() <= self.canceled
        return Reply(response=Response.NACK, failed=dict(failed), canceled=canceled)

    def _send(self, request: Request) -> Reply:
        self._weigh(("message", request.message_id, request.client), request.size)
        self.messages += 1
        message = Message(self.messages, request.message)
        self.sent.setdefault(request.message_id, {})[request.client] = message
        self.changed = True
        return ACK

    def _fail(self, request: Request) -> Reply:
        if request.reason is None:
            raise RequestRefused("lava_failed has a reason")
        self.failed[request.client] = request.reason
        if request.canceled:
            self.canceled.add(request.client)
        if request.ends_group:
            self.enders.add(request.client)
        self.changed = True
        return ACK

    def _skip(self, request: Request) -> Reply:
        if request.reason is None:
            raise RequestRefused("lava_skipped has a reason")
        self.skipped.add(request.client)
        for sync in self.syncs.values():
            self._end_round(sync)
        self.changed = True
        return ACK

    def _take_tests(self, request: Request) -> None:
        """Note that a member's tests have ended, or that further ones begin."""
        if request.ended:
            self.ended.add(request.client)
        else:
            self.ended.discard(request.client)

    def _wait(self, request: Request) -> Reply:
        sent = self._sent(request, since=self.members[request.client].came)
        return Reply(response=Response.ACK, message=sent) if sent else self._unsatisfied(request)

    def _wait_all(self, request: Request) -> Reply:
        senders = self.senders(request.message_id, request.wait_role)
        if request.wait_role is not None:
            if not self.complete:
                # Further members of the role may still come.
                return self._unsatisfied(request)
            if all(member.role != request.wait_role for member in self.members.values()):
                raise RequestRefused(f"nobody has the role {request.wait_role!r}")
        if not senders <= self.sent.get(request.message_id, {}).keys():
            return self._unsatisfied(request)
        return Reply(response=Response.ACK, message=self._sent(request))

    def senders(self, message_id: str | None, role: str | None) -> set[str]:
        """Return the members that a `lava_wait_all` waits for, with those that have sent."""
        senders = {name for name, member in self.members.items() if role in {None, member.role}}
        # A skipped member sends ``lava_vm_stop`` like any other.
        return senders - (self.cleared if message_id == STOP_MESSAGE_ID else self.skipped)

    def _sent(self, request: Request, since: int = 0) -> Mapping[str, Any]:
        """Return the data sent under the request's message id after number `since`, by sender."""
        messages = self.sent.get(request.message_id, {})
        return {name: item.data for name, item in messages.items() if item.number > since}

    def _sync(self, request: Request) -> Reply:
        self._weigh(("sync", request.message_id), len(request.message_id or ""))
        sync = self.syncs.setdefault(request.message_id, Sync())
        if request.client in sync.released or sync.was_told(request):
            return sync.release(request)
        sync.entered.add(request.client)
        if not self._end_round(sync):
            return self._not_yet(sync, request)
        return sync.release(request) if request.hold else WAIT

    def _end_round(self, sync: Sync) -> bool:
        """Release a sync's open round if all members but the skipped ones are in it.

        Return True if it was released.
        """
        if not sync.entered or len(sync.entered | self.skipped) < self.size:
            return False
        # A member fetches the last round's answer before it enters this one, so none is lost.
        sync.released, sync.entered = sync.entered, set()
        self.changed = True
        return True

    def _held_sync(self, request: Request) -> Reply:
        sync = self.syncs.setdefault(request.message_id, Sync())
        if request.client in sync.entered:
            return self._not_yet(sync, request)
        return sync.release(request)

    def _not_yet(self, sync: Sync, request: Request) -> Reply:
        reply = self._unsatisfied(request)
        if reply.response is Response.NACK:
            # A refused member leaves the round, so that it cannot release the others.
            sync.entered.discard(request.client)
        return reply

    def _watch(self, request: Request) -> Reply:
        if not request.hold:
            raise RequestRefused("lava_watch is held")
        ended = {name: self.failed[name] for name in self.enders if name != request.client}
        return self._given_up(ended) if ended else WAIT
