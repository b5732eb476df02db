# SPDX-License-Identifier: MIT
"""Small changes to bytes, chosen at random, and the command line that fuzzers share."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable

Fuzz = Callable[[int, int], list[str]]
"""Takes a count and a seed, and gives what was wrong."""

INTERESTING = (
    b"",
    b"\0",
    b"\xff" * 4,
    b"-1",
    b"99999999999",
    b"../",
    b"/",
    b"\n",
    b"<",
    b">",
    b"\x1b[",
)


def mutated(data: bytes, chance: random.Random, *, most: int = 4) -> bytes:
    """`data` with some places changed."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, most)):
        at = chance.randrange(len(changed) + 1)
        span = slice(at, at + chance.choice((0, 1, 1, 2, 8, 64)))
        match chance.randrange(6):
            case 0:
                changed[span] = chance.randbytes(span.stop - at)
            case 1:
                del changed[span]
            case 2:
                changed[at:at] = changed[span] * chance.choice((1, 2, 50))
            case 3:
                changed[span] = chance.choice(INTERESTING)
            case 4 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case _:
                other = chance.randrange(len(changed) + 1)
                changed[at:at] = changed[other : other + chance.randint(1, 100)]
    return bytes(changed)


def main(fuzz: Fuzz, description: str | None, arguments: list[str] | None = None) -> int:
    """Run a fuzzer as told on the command line; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=1000, help="how many inputs to try")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same ones")
    options = parser.parse_args(arguments)
    faults = fuzz(options.count, options.seed)
    sys.stdout.write(f"{options.count} inputs (seed {options.seed}), {len(faults)} faults\n")
    for fault in faults[:10]:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0
