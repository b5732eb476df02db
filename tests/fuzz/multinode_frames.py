# SPDX-License-Identifier: MIT
"""Sends hostile frames to a coordinator while a well-behaved group works beside them.

``python tests/fuzz/multinode_frames.py --count 1000000 --seed 7`` ends with status 0 if the group
noticed nothing, every answer was one, and the coordinator's memory stayed within its bound.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import MultiNodeError
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.client import Membership, MultiNodeClient
from tests.fuzz.hostile import Hostile
from tests.fuzz.siege import Siege
from tests.support.coordinators import our_coordinator

ROLES = {"host": "host", **{f"vm{number}": "guest" for number in range(1, 5)}}
ROUNDS_OF_A_GROUP = 10
CALL_LIMIT_S = 60
AT_ONCE = 96
MEMORY_LIMIT_MIB = 256


class Group:
    """Five members of groups that follow each other, checking all that they are told."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.assembled: str | None = None
        """The group that is complete now."""
        self.rounds = 0
        self.ending = threading.Event()
        self._endpoint = Endpoint(host=address[0], port=address[1])
        self._entered: Counter[str] = Counter()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Group after group, until `ending` and one group at least; raises what goes wrong."""
        number = 0
        while not (number and self.ending.is_set()):
            self._live(f"well-behaved {number}")
            number += 1

    def _live(self, group: str) -> None:
        with ThreadPoolExecutor(len(ROLES)) as pool:
            members = [pool.submit(self._member, group, name) for name in ROLES]
        for member in members:
            member.result()
        self.assembled = None
        try:
            self._client(group, "host").send("late", {}, _deadline("send"))
        except MultiNodeError:
            return
        raise AssertionError(f"{group} is still there after all have left")

    def _member(self, group: str, name: str) -> None:
        client = self._client(group, name)
        expect(client.group_data(_deadline("group_data")), ROLES)
        self.assembled = group
        for number in range(ROUNDS_OF_A_GROUP):
            self._round(client, name, f"{group}, {number}")
        client.clear(_deadline("clear"))

    def _round(self, client: MultiNodeClient, name: str, title: str) -> None:
        client.send(title, {"from": name, "in": title}, _deadline("send"))
        all_sent = {member: {"from": member, "in": title} for member in ROLES}
        expect(client.wait_all(title, _deadline("wait_all")), all_sent)
        self._sync(client, title)
        if name == "host":
            client.send(f"{title} go", {"round": title}, _deadline("send"))
            self.rounds += 1
        expect(client.wait(f"{title} go", _deadline("wait")), {"host": {"round": title}})
        expect(client.wait_all(title, _deadline("wait_all"), role="guest"), all_sent)
        self._sync(client, f"{title}, end")

    def _sync(self, client: MultiNodeClient, moment: str) -> None:
        with self._lock:
            self._entered[moment] += 1
        client.sync("the same id each time", _deadline("sync"))
        expect(self._entered[moment], len(ROLES))

    def _client(self, group: str, name: str) -> MultiNodeClient:
        return MultiNodeClient(
            self._endpoint,
            Membership(group_name=group, group_size=len(ROLES), client_name=name, role=ROLES[name]),
        )


def expect(found: object, wanted: object) -> None:
    """Both are the same, or an AssertionError."""
    if found != wanted:
        raise AssertionError(f"{str(found)[:500]} instead of {str(wanted)[:500]}")


def _deadline(name: str) -> Deadline:
    return Deadline.after(name, CALL_LIMIT_S)


@contextmanager
def beside(group: Group) -> Iterator[None]:
    """The group works while the block runs; what went wrong for it is raised at the end."""
    with ThreadPoolExecutor(1) as pool:
        working: Future[None] = pool.submit(group.run)
        try:
            yield
        finally:
            group.ending.set()
    working.result()


def fuzz(count: int, seed: int, at_once: int, say: Callable[[str], object]) -> list[str]:
    """Send `count` frames, `at_once` at a time; what was wrong, apart from what is raised."""
    with our_coordinator() as coordinator:
        group = Group(coordinator.address)
        hostile = Hostile(seed, lambda: group.assembled)
        siege = Siege(
            coordinator.address, (hostile.attack() for _ in range(count)), at_once=at_once
        )
        before = coordinator.memory_kib()
        began = time.monotonic()
        with beside(group):
            siege.run()
        took = time.monotonic() - began
        after, most = coordinator.memory_kib(), coordinator.memory_kib("VmHWM")
    sent = siege.kinds.total()
    say(f"{sent} frames (seed {seed}, {at_once} at once) in {took:.0f} s: {sent / took:.0f} per s")
    for title, counted in (("sent", siege.kinds), ("ended", siege.outcomes)):
        for name, number in sorted(counted.items()):
            say(f"  {title}: {name}: {number}")
    say(f"well-behaved group: {group.rounds} rounds without a fault")
    say(f"memory of the coordinator: {before} KiB, then {after} KiB, at most {most} KiB")
    faults = [f"not an answer: {answer!r}" for answer in siege.garbled[:5]]
    if sent != count or siege.outcomes.total() != count:
        faults.append(f"{count} frames were to be sent")
    if most - before > MEMORY_LIMIT_MIB * 1024:
        faults.append(f"the coordinator's memory grew by more than {MEMORY_LIMIT_MIB} MiB")
    return faults


def main(arguments: list[str] | None = None) -> int:
    """Run as told on the command line; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="how many frames to send")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same frames")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many connections")
    options = parser.parse_args(arguments)
    faults = fuzz(
        options.count, options.seed, options.at_once, lambda line: sys.stdout.write(f"{line}\n")
    )
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
