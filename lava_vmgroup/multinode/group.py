# SPDX-License-Identifier: MIT
"""One group as a coordinator knows it: its members, what they sent, and who waits for what.

A client that polls is answered as LAVA v1's coordinator answers it, down to the ``wait`` that
the last one to enter a sync gets.  It differs where v1 is of no use to anyone:

- A wait with a role waits for every member of that role; v1 looks at one of them.
- `lava_wait_all` for an id that nobody sent yet says ``wait``; v1 says ``nack``.
- Syncs and messages with the same id do not touch each other, and a client that enters a sync
  again before the others have fetched their answer starts the next round of it.
- What cannot be served gets ``nack`` and harms nobody; a client too many is not let in.
- `clear_group` counts each member once.

When a member has failed, waits that are not satisfied yet get ``nack`` with the names and the
reasons, because the failed one may be what they wait for.  Two go on: the wait for
``lava_vm_stop``, because a failed VM says it has closed like any other, and the first node's
wait for the bundles, because a failed node has one too.  Neither waits for who has left.

A skipped member is no failure: syncs, and waits for all members or for those of a role, do without
it.  Only a wait for a message that nobody else sends is in vain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lava_vmgroup.multinode.standstill import Standstill
from lava_vmgroup.multinode.syncs import Sync
from lava_vmgroup.multinode.wire import Command, Reply, Request, RequestRefused, Response

STOP_MESSAGE_ID = "lava_vm_stop"
"""The message by which each member says that it has ended its work."""
AGGREGATE_PAUSE = 2
"""How many polls v1 lets the first node wait after the last bundle, for that to be uploaded."""
BROKE_OFF = "its connection to the coordinator broke off"
PATIENCE_S = 24 * 3600.0
LONGEST_PATIENCE_S = 30 * PATIENCE_S
"""How long an unused group stays: at least, and at most if a member told a longer time limit."""
ENTRY_SIZE = 500
"""What remembering a message or a sync costs, in bytes, beside what the client sent."""
WEIGHT_LIMIT = 256 * 1024 * 1024
"""How many bytes the members of one group may leave here."""

ACK = Reply(response=Response.ACK)
WAIT = Reply(response=Response.WAIT)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hold:
    """A request that is answered later."""

    request: Request
    since: float


@dataclass(frozen=True, slots=True)
class _Message:
    number: int
    """The how manieth of the group's messages it is."""
    data: Mapping[str, Any]


Released = tuple[Hold, Reply]
"""A held request with the answer that it has now."""


@dataclass(slots=True, kw_only=True)
class Member:
    """What a member said of itself when it came."""

    role: str
    hostname: str
    instance: str | None
    """The one program that may speak for the member; None for clients that do not say."""
    came: int
    """How many messages the group had had by then: it does not get those."""


@dataclass(slots=True, kw_only=True)
class Group:
    """The state of a group; moments are those of the caller's clock."""

    name: str
    size: int
    born: float
    used: float
    """When a member last said anything."""
    patience_s: float = PATIENCE_S
    members: dict[str, Member] = field(default_factory=dict)
    messages: int = 0
    sent: dict[str | None, dict[str, _Message]] = field(default_factory=dict)
    """The last message of each sender, by message id."""
    syncs: dict[str | None, Sync] = field(default_factory=dict)
    bundles: dict[str, Any] = field(default_factory=dict)
    aggregate_pause: int = AGGREGATE_PAUSE
    failed: dict[str, str] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    """Of the failed, those that were canceled or ended with one that was."""
    skipped: set[str] = field(default_factory=set)
    enders: set[str] = field(default_factory=set)
    """The members whose failure ends the group."""
    cleared: set[str] = field(default_factory=set)
    """Who has left, by its own will or because its connection broke off."""
    ended: set[str] = field(default_factory=set)
    """The members whose tests answer nobody any more, at least until all VMs have closed."""
    standstill: Standstill | None = None
    """Set while every member waits that is not out; see `lava_vmgroup.multinode.waits`."""
    standstills: int = 0
    """The number of standstills so far."""
    unconfirmed: set[str] = field(default_factory=set)
    """The members that have not said in this standstill that nothing of them goes on."""
    holds: dict[Hold, None] = field(default_factory=dict)
    watches: dict[Hold, None] = field(default_factory=dict)
    """The members' presences; they last longer than it takes to answer them."""
    polls: dict[str, Hold] = field(default_factory=dict)
    """What each polling member was last told to wait for."""
    changed: bool = False
    """Whether held requests may have an answer since they were looked at last."""
    weight: int = 0
    """How many bytes the members have left here, about."""
    counted: int = 0
    """How many of them are in the sum over all groups."""
    weights: dict[tuple[str | None, ...], int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all members have come."""
        return len(self.members) == self.size

    @property
    def over(self) -> bool:
        """Whether nobody needs the group any more.

        Members that are still to come must hear of a failure, so a group with one stays until
        all its members have been there; without, it goes with the last one present, as in v1.
        """
        needed = self.size if self.failed else len(self.members)
        return len(self.cleared) >= needed

    def admit(self, request: Request) -> None:
        """Let a client in; raises `RequestRefused` for one that does not belong here."""
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
        """Do what a request asks for and answer it; None when the answer is to close."""
        match request.command:
            case Command.SEND:
                return self._send(request)
            case Command.FAILED:
                return self._fail(request)
            case Command.SKIPPED:
                return self._skip(request)
            case Command.CLEAR_GROUP:
                self.cleared.add(request.client)
                self.changed = True
                return ACK
            case Command.TESTS:
                self._take_tests(request)
                return ACK
            case Command.BLOCKED:
                if self.standstill is not None and request.seen == self.standstill.number:
                    self.unconfirmed.discard(request.client)
                return ACK
            case Command.SYNC:
                return self._sync(request)
            case Command.AGGREGATE:
                self._take_bundle(request)
        return self.answer(request)

    def answer(self, request: Request) -> Reply | None:
        """What a request that was served is answered now; ``wait`` while it has to wait."""
        match request.command:
            case Command.GROUP_DATA:
                if not self.complete:
                    return self._unsatisfied(request)
                roles = {name: member.role for name, member in self.members.items()}
                return Reply(response=Response.GROUP_DATA, roles=roles)
            case Command.WAIT:
                return self._wait(request)
            case Command.WAIT_ALL:
                return self._wait_all(request)
            case Command.SYNC:
                return self._held_sync(request)
            case Command.AGGREGATE:
                return self._aggregate(request)
            case Command.WATCH:
                return self._watch(request)
            case _:
                return None

    def recheck(self) -> Sequence[Released]:
        """Take the held requests that have an answer now."""
        if not self.changed:
            return ()
        self.changed = False
        answers = ((hold, self._answer_again(hold.request)) for hold in self.holds)
        released = [(hold, reply) for hold, reply in answers if reply and reply is not WAIT]
        for hold, _ in released:
            del self.holds[hold]
        return released

    def withdraw(self, hold: Hold) -> None:
        """Forget a held request whose client has gone."""
        self.watches.pop(hold, None)
        if hold not in self.holds:
            return
        del self.holds[hold]
        request = hold.request
        if request.command is Command.SYNC and not any(
            other.request.client == request.client and other.request.asks_like(request)
            for other in self.holds
        ):
            self.syncs[request.message_id].entered.discard(request.client)

    def watched(self, client: str) -> bool:
        """Whether a member holds its presence."""
        return any(watch.request.client == client for watch in self.watches)

    @property
    def in_use(self) -> bool:
        """Whether a connection to somebody in it is open."""
        return bool(self.holds or self.watches)

    def lose(self, request: Request) -> None:
        """Take the member that made this watch for dead."""
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
        message = _Message(self.messages, request.message)
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
                # Members of the role may still be to come.
                return self._unsatisfied(request)
            if all(member.role != request.wait_role for member in self.members.values()):
                raise RequestRefused(f"nobody has the role {request.wait_role!r}")
        if not senders <= self.sent.get(request.message_id, {}).keys():
            return self._unsatisfied(request)
        return Reply(response=Response.ACK, message=self._sent(request))

    def senders(self, message_id: str | None, role: str | None) -> set[str]:
        """Return the members that a `lava_wait_all` waits for, with those that have sent."""
        senders = {name for name, member in self.members.items() if role in {None, member.role}}
        # A skipped member says like any other that it has closed.
        return senders - (self.cleared if message_id == STOP_MESSAGE_ID else self.skipped)

    def _sent(self, request: Request, since: int = 0) -> Mapping[str, Any]:
        """What was sent under a request's message id, by sender."""
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
        """Release the members in a sync's open round if all are there that will be."""
        if not sync.entered or len(sync.entered | self.skipped) < self.size:
            return False
        # Whoever entered this round has fetched the one before, so nobody is forgotten here.
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
            # Whoever was refused does not stand in the round, or it could release the others.
            sync.entered.discard(request.client)
        return reply

    def _take_bundle(self, request: Request) -> None:
        if not request.has_bundle or request.sub_id is None:
            raise RequestRefused("aggregate has a bundle and a sub_id")
        self._weigh(("bundle", request.client), request.size)
        self.bundles[request.client] = request.bundle
        self.changed = True

    def _aggregate(self, request: Request) -> Reply:
        if request.sub_id is None or not request.sub_id.endswith(".0"):
            return ACK
        there = self.bundles.keys() | (self.cleared if request.hold else set())
        if len(there) < self.size:
            self.aggregate_pause = AGGREGATE_PAUSE
            return WAIT
        if self.aggregate_pause and not request.hold:
            self.aggregate_pause -= 1
            return WAIT
        self.aggregate_pause = AGGREGATE_PAUSE
        return Reply(response=Response.ACK, message={"bundle": dict(self.bundles)})

    def _watch(self, request: Request) -> Reply:
        if not request.hold:
            raise RequestRefused("lava_watch is held")
        ended = {name: self.failed[name] for name in self.enders if name != request.client}
        return self._given_up(ended) if ended else WAIT
