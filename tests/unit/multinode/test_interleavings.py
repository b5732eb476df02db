# SPDX-License-Identifier: MIT
"""However members send, wait, fail and vanish: a wait ends when it may, not before and not later.

A model of a few lines says after every step which waits are satisfied and which are given up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.multinode.group import BROKE_OFF
from lava_vmgroup.multinode.groups import Groups
from lava_vmgroup.multinode.member import Hold
from lava_vmgroup.multinode.wire import Reply, Response
from tests.unit.multinode.asked import base, held

IDS = ("m", "n", "lava_vm_stop")
COMMANDS = {
    "wait": {"request": "lava_wait"},
    "wait for all": {"request": "lava_wait_all"},
    "wait for the host": {"request": "lava_wait_all", "waitrole": "host"},
    "wait for the guests": {"request": "lava_wait_all", "waitrole": "guest"},
    "sync": {"request": "lava_sync"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The wait of a member; without a hold it was answered at once."""

    kind: str
    message_id: str
    hold: Hold | None


@dataclass(slots=True, kw_only=True)
class Model:
    """Members that do what they are told, and what a coordinator owes them."""

    roles: dict[str, str]
    groups: Groups = field(default_factory=Groups)
    watches: dict[str, Hold] = field(default_factory=dict)
    sent: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in IDS})
    waits: dict[str, Wait] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    told: dict[str, Reply] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, role in self.roles.items():
            self.ask(base(name, role, request="group_data", group_size=len(self.roles)))
            watch = self.ask(held(name, "lava_watch"))
            assert watch is not None
            self.watches[name] = watch
        self.told.clear()

    def ask(self, request: dict[str, Any]) -> Hold | None:
        outcome = self.groups.handle(request)
        if outcome.reply is not None:
            self.told[request["client_name"]] = outcome.reply
        self.note(outcome.released)
        return outcome.hold

    def note(self, released: Iterable[tuple[Hold, Reply]]) -> None:
        for hold, reply in released:
            name = hold.request.client
            assert name not in self.told, "a wait is answered once"
            assert self.waits[name].hold is hold
            self.told[name] = reply

    def step(self, name: str, what: str, message_id: str) -> None:
        """Let a member do something, if it is free to, and check everybody."""
        if name in self.gone or (name in self.waits and what not in {"drop", "vanish"}):
            return
        if what == "send":
            self.sent[message_id].add(name)
            self.ask(base(name, request="lava_send", messageID=message_id))
            del self.told[name]
        elif what == "fail":
            self.failed[name] = "no boot"
            self.ask(base(name, request="lava_failed", reason="no boot"))
            del self.told[name]
        elif what == "drop":
            self.drop(name)
        elif what == "vanish":
            self.vanish(name)
        else:
            hold = self.ask(base(name, hold=True, messageID=message_id, **COMMANDS[what]))
            self.waits[name] = Wait(kind=what, message_id=message_id, hold=hold)
        self.check()

    def drop(self, name: str) -> None:
        """A member gives its wait up."""
        wait = self.waits.pop(name, None)
        if wait is not None and wait.hold is not None:
            self.groups.withdraw(wait.hold, 0)

    def vanish(self, name: str) -> None:
        """A member is killed."""
        self.drop(name)
        self.failed.setdefault(name, BROKE_OFF)
        self.gone.add(name)
        watch = self.watches[name]
        assert self.groups.withdraw(watch, 0)
        self.note(self.groups.lose(watch.request) or ())

    def check(self) -> None:
        """Each wait has the answer that it is owed, and none has another one."""
        satisfied = {name for name, wait in self.waits.items() if self.is_satisfied(wait)}
        for name, wait in list(self.waits.items()):
            given_up = self.failed and wait.message_id != "lava_vm_stop"
            reply = self.told.pop(name, None)
            if name in satisfied:
                assert reply is not None, f"{name} was not released"
                assert reply.response is Response.ACK
            elif given_up:
                assert reply == Reply(response=Response.NACK, failed=self.failed)
            else:
                assert reply is None, f"{name} was released too early"
                continue
            del self.waits[name]
        assert not self.told

    def is_satisfied(self, wait: Wait) -> bool:
        sent, everybody = self.sent[wait.message_id], set(self.roles)
        if wait.kind == "sync":
            twins = [twin for twin in self.waits.values() if is_in_the_same_sync(twin, wait)]
            return len(twins) == len(everybody)
        if wait.kind == "wait":
            return bool(sent)
        role = {"wait for the host": "host", "wait for the guests": "guest"}.get(wait.kind)
        awaited = {name for name in everybody if role in {None, self.roles[name]}}
        return awaited - (self.gone if wait.message_id == "lava_vm_stop" else set()) <= sent


def is_in_the_same_sync(one: Wait, other: Wait) -> bool:
    return (one.kind, one.message_id) == ("sync", other.message_id)


STEPS = st.tuples(
    st.integers(min_value=0, max_value=4),
    st.sampled_from(["send", "send", *COMMANDS, "sync", "sync", "drop"]),
    st.sampled_from(IDS),
)
MEMBER, END = st.integers(min_value=0, max_value=4), st.sampled_from(["fail", "vanish"])


@given(
    size=st.integers(min_value=2, max_value=5),
    healthy=st.lists(STEPS, max_size=60),
    end=st.tuples(MEMBER, END),
    later=st.lists(STEPS | st.tuples(MEMBER, END, st.just("m")), max_size=30),
)
def test_a_wait_is_answered_as_soon_as_it_is_satisfied_or_in_vain_and_not_before(
    size: int, healthy: list[Any], end: Any, later: list[Any]
) -> None:
    names = [f"node{index}" for index in range(size)]
    model = Model(roles={name: "guest" if name != "node0" else "host" for name in names})

    for member, what, message_id in (*healthy, (*end, "m"), *later):
        model.step(names[member % size], what, message_id)
