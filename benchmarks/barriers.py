# SPDX-License-Identifier: MIT
"""The time of a barrier, from the last member's entry to the last member's release."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.members import Address, Member, Rules

SETTLE_S = 0.02
"""Seconds between the other members' entries and the last one's."""


@dataclass(kw_only=True)
class Barriers:
    """The barriers of a group of one size at one coordinator."""

    nodes: int
    rules: Rules
    rounds: int
    """The number of rounds that were to be done."""
    assembled_s: float | None = None
    """Seconds until each member knew that the group was complete."""
    latencies_s: list[float] = field(default_factory=list)
    """Of the rounds that were completed."""
    trouble: str = ""
    """The error that came instead of the rest."""

    @property
    def median_s(self) -> float | None:
        """None if no round was completed."""
        return statistics.median(self.latencies_s) if self.latencies_s else None

    @property
    def percentile_s(self) -> float | None:
        """The 95th percentile."""
        if len(self.latencies_s) < 2:
            return self.median_s
        return statistics.quantiles(self.latencies_s, n=20, method="inclusive")[-1]


async def barriers(
    address: Address, rules: Rules, *, nodes: int, rounds: int, limit_s: float
) -> Barriers:
    """Assemble a group, and have it meet `rounds` times.

    Assembling, each round and leaving take `limit_s` seconds at most; the first that takes longer
    ends the measurement.
    """
    done = Barriers(nodes=nodes, rules=rules, rounds=rounds)
    members = [
        Member(
            address=address,
            rules=rules,
            group=f"{nodes} nodes, {rules.name}",
            group_size=nodes,
            name=f"node {number}",
        )
        for number in range(nodes)
    ]
    stage, answered = "assembling", list[float]()
    try:
        async with asyncio.timeout(limit_s):
            began = time.monotonic()
            await _all(members, answered, "group_data", group_size=nodes)
            done.assembled_s = max(answered) - began
        for number in range(rounds):
            stage, answered = f"round {number + 1}", []
            async with asyncio.timeout(limit_s):
                began = await _barrier(members, answered, f"barrier {number}")
            done.latencies_s.append(max(answered) - began)
        stage, answered = "leaving", []
        async with asyncio.timeout(limit_s):
            await _all(members, answered, "clear_group")
    except* (TimeoutError, ConnectionError) as errors:
        why = str(errors.exceptions[0]) or f"{len(answered)} of {nodes} done in {limit_s:g} s"
        done.trouble = f"{stage}: {why}"
    return done


async def _barrier(members: list[Member], answered: list[float], message_id: str) -> float:
    """The moment when the last one entered; `answered` is when each was released."""
    *early, last = members
    async with asyncio.TaskGroup() as tasks:
        for member in early:
            member.waiting.clear()
            tasks.create_task(_later(member, answered, "lava_sync", messageID=message_id))
        for member in early:
            await member.waiting.wait()
        if last.rules.poll_delay_s is None:
            # The answer to a later request shows that the earlier ones have been taken.
            await last.call("group_data")
            await asyncio.sleep(SETTLE_S)
        began = time.monotonic()
        answered.append(await last.call("lava_sync", messageID=message_id))
    return began


async def _all(
    members: Iterable[Member], answered: list[float], request: str, **fields: object
) -> None:
    async with asyncio.TaskGroup() as tasks:
        for member in members:
            tasks.create_task(_later(member, answered, request, **fields))


async def _later(member: Member, answered: list[float], request: str, **fields: object) -> None:
    # Clients that poll are spread over their pause, as those of different boards are.
    pause_s = member.rules.poll_delay_s
    await asyncio.sleep(random.uniform(0, pause_s) if pause_s else 0)  # noqa: S311 - no secret
    answered.append(await member.call(request, **fields))
