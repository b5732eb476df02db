# SPDX-License-Identifier: MIT
"""The waits of a group's members for each other, and the end of a group that cannot go on.

A member is *out* when none of its tests can act any more: its tests have ended, it has left, or it
was skipped.  A group *stands still* when every member that is not out waits.  That may pass: a
program that a test has left in the background can still send the awaited message.  A wait is *in
vain* when it needs a member that is out.  The group is at its end when one wait is in vain and
each member has confirmed, by ``lava_blocked``, that its test waits for the call and runs nothing
else.

Dispatchers themselves send and await ``lava_vm_start`` and the like, also without a running test.
So no wait for one of these messages is in vain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lava_vmgroup.multinode.group import STOP_MESSAGE_ID, Group
from lava_vmgroup.multinode.member import Hold, Released
from lava_vmgroup.multinode.standstill import Standstill
from lava_vmgroup.multinode.wire import Reply, Request, Response, Verb

START_MESSAGE_ID = "lava_vm_start"
OWN_MESSAGES = "lava_vm_"
"""Prefix of the ids of messages that dispatchers send."""

_MAX_LINES = 20
_MAX_NAMES = 8
_SHOWN = 60
"""Characters of a message id or a role in a line."""
_CALLS = {
    Verb.SYNC: "lava-sync",
    Verb.WAIT: "lava-wait",
    Verb.WAIT_ALL: "lava-wait-all",
}
_HARMLESS = {Verb.GROUP_DATA, Verb.WATCH, Verb.WAITS, Verb.AGGREGATE}
"""Requests that do not end a standstill; the group is not looked at again after them."""


class _Call(NamedTuple):
    """A call in which one or several members wait."""

    command: Verb
    message_id: str | None
    role: str | None


_Waiting = Mapping[_Call, set[str]]


def look_for_standstill(group: Group, request: Request) -> Sequence[Released]:
    """Look for a standstill after `request`, the last one served; return the holds to answer.

    The answers report the standstill, or end the waits of tests if the group is at its end.
    """
    known = group.standstill
    # A wait that was told of this standstill and asks again does not end it.
    asked_again = known is not None and request.command in _CALLS and request.seen == known.number
    if not asked_again and request.command not in {*_HARMLESS, Verb.BLOCKED}:
        _look(group)
    return _answers(group) if group.standstill is not None else ()


def who_waits(group: Group) -> tuple[str, ...]:
    """Return a line for each wait in a group."""
    return _lines(group, _waiting(_waits(group)))


def _look(group: Group) -> None:
    """Set the group's standstill; it gets a new number if its waits differ from the last one's."""
    holds = _holds_of_all(group)
    if not any(hold.request.of_test for hold in holds):
        group.standstill = None
        return
    waiting, before = _waiting(holds), group.standstill
    lines = _lines(group, waiting)
    in_vain = any(_is_in_vain(group, call, clients) for call, clients in waiting.items())
    if before is None or (before.in_vain, before.lines) != (in_vain, lines):
        group.standstills += 1
        group.standstill = Standstill(number=group.standstills, lines=lines, in_vain=in_vain)
        # A dispatcher that waits for the start of its VM runs no test, so it confirms nothing.
        group.unconfirmed = {
            hold.request.client for hold in holds if hold.request.message_id != START_MESSAGE_ID
        }


def _holds_of_all(group: Group) -> Sequence[Hold]:
    """Return the waits of the members that are not out; none if one of these does not wait."""
    out = _out(group)
    known = len(group.holds) - len(group.watches) + len(group.polls)
    if not group.complete or group.failed or known + len(out) < group.size:
        return ()
    holds = [hold for hold in _waits(group) if hold.request.client not in out]
    return holds if {hold.request.client for hold in holds} | out >= group.members.keys() else ()


def _waits(group: Group) -> Sequence[Hold]:
    """Return the waits that are not satisfied: of held requests, and of clients that poll."""
    polls = [hold for hold in group.polls.values() if _is_open(group, hold.request)]
    return [hold for hold in (*group.holds, *polls) if hold.request.command in _CALLS]


def _is_open(group: Group, request: Request) -> bool:
    """Return True if a client that polls would have to wait again."""
    sent = group.sent.get(request.message_id, {})
    match request.command:
        case Verb.SYNC:
            sync = group.syncs.get(request.message_id)
            return sync is not None and request.client in sync.entered
        case Verb.WAIT:
            came = group.members[request.client].came
            return all(message.number <= came for message in sent.values())
        case _:
            return not group.senders(request.message_id, request.wait_role) <= sent.keys()


def _answers(group: Group) -> Sequence[Released]:
    """Take the tests' waits to answer: report the standstill to each once, or end all of them."""
    standstill = group.standstill
    assert standstill is not None, "the caller has looked"
    is_end = standstill.in_vain and not group.unconfirmed
    reply = Reply(response=Response.NACK if is_end else Response.WAIT, standstill=standstill)
    holds = [
        hold
        for hold in group.holds
        if hold.request.of_test and (is_end or hold.request.seen < standstill.number)
    ]
    for hold in holds:
        del group.holds[hold]
        if not is_end:
            # The client will ask again, and counts as waiting until then.
            group.polls[hold.request.client] = hold
    return [(hold, reply) for hold in holds]


def _waiting(holds: Iterable[Hold]) -> _Waiting:
    waiting: dict[_Call, set[str]] = {}
    for request in (hold.request for hold in holds):
        call = _Call(request.command, request.message_id, request.wait_role)
        waiting.setdefault(call, set()).add(request.client)
    return waiting


def _out(group: Group) -> set[str]:
    return group.ended | group.cleared | group.skipped


def _is_in_vain(group: Group, call: _Call, clients: set[str]) -> bool:
    """Return True if a wait needs a member that is out."""
    out = _out(group)
    if call.command is Verb.SYNC:
        return not (out - group.skipped).isdisjoint(_awaited(group, call, clients))
    if (call.message_id or "").startswith(OWN_MESSAGES):
        return False
    awaited = _awaited(group, call, clients)
    if call.command is Verb.WAIT_ALL:
        return not out.isdisjoint(awaited)
    return bool(awaited) and awaited <= out


def _awaited(group: Group, call: _Call, clients: set[str]) -> set[str]:
    """Return the members that `clients` wait for; for a lava-wait, one of them is enough."""
    match call.command:
        case Verb.SYNC:
            sync = group.syncs.get(call.message_id)
            return group.members.keys() - group.skipped - (sync.entered if sync else set())
        case Verb.WAIT_ALL:
            sent = group.sent.get(call.message_id, {})
            return group.senders(call.message_id, call.role) - sent.keys()
        case _:
            return group.members.keys() - clients


def _lines(group: Group, waiting: _Waiting) -> tuple[str, ...]:
    """Return the waits as text, one line each; those for the VMs' end come last."""
    calls = sorted(waiting, key=lambda call: (call.message_id == STOP_MESSAGE_ID, str(call)))
    return tuple(_line(group, call, waiting[call]) for call in calls[:_MAX_LINES])


def _line(group: Group, call: _Call, clients: set[str]) -> str:
    verb = "waits" if len(clients) == 1 else "wait"
    role = f" of role {call.role[:_SHOWN]!r}" if call.role is not None else ""
    what = f"{_CALLS[call.command]} {(call.message_id or '')[:_SHOWN]!r}{role}"
    whom = _describe(group, _awaited(group, call, clients))
    return f"{_names(clients)} {verb} in {what} for {whom}"


def _describe(group: Group, awaited: set[str]) -> str:
    """Return the awaited members as text, with the reasons of those that will not come."""
    parts = []
    for members, one, several in (
        (group.failed.keys(), "which has failed", "which have failed"),
        (group.cleared, "which has left", "which have left"),
        (group.skipped, "which was skipped", "which were skipped"),
        (group.ended, "whose tests have ended", "whose tests have ended"),
    ):
        if named := awaited & members:
            parts.append(f"{_names(named)}, {one if len(named) == 1 else several}")
            awaited = awaited - named
    if awaited:
        parts.append(_names(awaited))
    return ", and ".join(parts) or "nobody"


def _names(members: set[str]) -> str:
    names = sorted(members)
    if len(names) > _MAX_NAMES:
        return f"{', '.join(names[:_MAX_NAMES])} and {len(names) - _MAX_NAMES} more"
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
