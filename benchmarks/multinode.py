# SPDX-License-Identifier: MIT
"""Our MultiNode coordinator beside Debian's lava-coordinator: barriers, messages, memory.

``python benchmarks/multinode.py`` needs Debian's package lava-coordinator, and a few minutes,
because LAVA's clients ask again only after a pause of seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.barriers import Barriers, barriers
from benchmarks.members import Rules
from benchmarks.messages import Messages, messages
from tests.support.coordinators import Running, lava_coordinator, our_coordinator

OURS = Rules(name="ours")
SENDERS = (1, 8)
WIDTH = 110


@dataclass(frozen=True, kw_only=True)
class Side:
    """A coordinator, and the rules of the clients that are measured at it."""

    coordinator: Running
    rules: Sequence[Rules]
    rounds: int
    idle_kib: int
    """The coordinator's memory before anybody came."""


def main(arguments: list[str] | None = None) -> int:
    """Measure as told on the command line, and print the tables."""
    options = _parser().parse_args(arguments)
    polling = [
        Rules(name=f"Debian's, {delay:g} s", poll_delay_s=delay) for delay in options.poll_delays
    ]
    with ExitStack() as stack:
        sides = [_side(stack.enter_context(our_coordinator()), [OURS], options.rounds)]
        if not options.only_ours:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            lava = stack.enter_context(lava_coordinator(folder))
            sides.append(_side(lava, polling, options.polling_rounds))
        console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
        met = [
            asyncio.run(
                barriers(
                    side.coordinator.address,
                    rules,
                    nodes=nodes,
                    rounds=side.rounds,
                    limit_s=options.limit,
                )
            )
            for nodes in options.sizes
            for side in sides
            for rules in side.rules
        ]
        console.print(barrier_table(met))
        sent = [
            messages(
                side.coordinator.address,
                side.rules[0],
                senders=senders,
                seconds=options.seconds,
                processor_s=side.coordinator.processor_s,
            )
            for senders in SENDERS
            for side in sides
        ]
        console.print(message_table(sent))
        console.print(memory_table(sides))
    return 0


def _side(coordinator: Running, rules: Sequence[Rules], rounds: int) -> Side:
    idle_kib = coordinator.memory_kib()
    return Side(coordinator=coordinator, rules=rules, rounds=rounds, idle_kib=idle_kib)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=[2, 8, 32, 128], help="members of the groups")
    add("--rounds", type=int, default=100, help="barriers of a group of ours")
    add("--polling-rounds", type=int, default=4, help="barriers of a group that polls")
    add("--poll-delays", type=float, nargs="+", default=[3, 1], help="pauses of LAVA's clients, s")
    add("--seconds", type=float, default=2, help="how long messages are sent")
    add("--limit", type=float, default=60, help="when a barrier is given up, s")
    add("--only-ours", action="store_true", help="leave Debian's lava-coordinator out")
    return parser


def barrier_table(met: Sequence[Barriers]) -> Table:
    """Latencies of all groups; the first of each size is what the others are compared with."""
    table = _table(
        "lava_sync: from the last one's entry to the last one's release; all times in ms"
    )
    for heading in ("nodes", "coordinator", "rounds", "median", "95 %", "times ours", "assembled"):
        table.add_column(heading, justify="left" if heading == "coordinator" else "right")
    table.add_column("trouble")
    base: dict[int, float | None] = {}
    for group in met:
        base.setdefault(group.nodes, group.median_s)
        table.add_row(
            str(group.nodes),
            group.rules.name,
            f"{len(group.latencies_s)} of {group.rounds}",
            _milliseconds(group.median_s),
            _milliseconds(group.percentile_s),
            _ratio(group.median_s, base[group.nodes]),
            _milliseconds(group.assembled_s),
            group.trouble or "none",
        )
    return table


def message_table(sent: Sequence[Messages]) -> Table:
    """Messages of all senders; the first of each number is what the others are compared with."""
    table = _table("lava_send: messages per second, and processor time for each")
    for heading in ("senders", "coordinator", "per s", "times ours", "lost", "processor, µs"):
        table.add_column(heading, justify="left" if heading == "coordinator" else "right")
    base: dict[int, float] = {}
    for run in sent:
        base.setdefault(run.senders, run.per_s)
        table.add_row(
            str(run.senders),
            run.rules.name.partition(",")[0],
            f"{run.per_s:.0f}",
            _ratio(run.per_s, base[run.senders]),
            str(run.lost),
            f"{run.cost_s * 1e6:.0f}",
        )
    return table


def memory_table(sides: Sequence[Side]) -> Table:
    """Return the memory of the coordinators, in MiB."""
    table = _table("resident memory, in MiB")
    for heading in ("coordinator", "idle", "at the end", "at most"):
        table.add_column(heading, justify="left" if heading == "coordinator" else "right")
    for side in sides:
        running = side.coordinator
        sizes = (side.idle_kib, running.memory_kib(), running.memory_kib("VmHWM"))
        table.add_row(
            side.rules[0].name.partition(",")[0], *(f"{size / 1024:.1f}" for size in sizes)
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left")


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f}"


def _ratio(value: float | None, base: float | None) -> str:
    if not value or not base:
        return "-"
    ratio = value / base
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2f}"


if __name__ == "__main__":
    sys.exit(main())
