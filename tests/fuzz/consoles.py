# SPDX-License-Identifier: MIT
"""Plays consoles that no board has to a test shell's session.

``python tests/fuzz/consoles.py --count 100000 --seed 7`` ends with status 0 if every session ended,
with results or with an error of ours, within its memory; and if what a well-formed test recorded
came out of a disturbed console as it was recorded, or was known to be missing.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
import traceback
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import VMGroupError
from lava_vmgroup.base.log import LOGGER, NodeLog
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.job.model import ConsoleWatch
from lava_vmgroup.systems.console_watch import NodeWatch
from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell.calls import GroupSide
from lava_vmgroup.testshell.events import MultiNodeCall
from lava_vmgroup.testshell.records import Place, enveloped
from lava_vmgroup.testshell.replies import Reply, reply_sync, reply_wait
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.session import Session
from tests.fuzz import mutate
from tests.support.scripted import PlayedShell

CORPUS = Path(__file__).with_name("corpus") / "consoles"
LIMIT_S = 60.0
MEMORY = 64 << 20
END = b"\n<LAVA_TEST_RUNNER>: exiting runner\n"
DISTURBANCES = (
    b"[   12.345678] usb 1-1: new high-speed USB device <number 2>\r\n",
    b"random: crng init done\r\n",
    b"\x1b[31m",
    b"\0",
    b"\xc3",
    b"<",
    b"<0.3<",
    b" CHECK=7>",
    b"\n",
)

Told = list[tuple[str, str, str | None]]
"""Name, outcome and set of each test case."""


def answer(call: MultiNodeCall, *_: object) -> Reply | None:
    """The answers of a group, given at once."""
    if call.api.value == "SEND":
        return None
    return reply_sync(ok=True) if call.api.value == "SYNC" else reply_wait({"vm": {"a": "b c"}})


def attend(chunks: list[bytes], folder: Path) -> tuple[RunRecorder, VMGroupError | None]:
    """Return a session's results and its end; errors of other kinds than ours pass."""
    log, token = NodeLog("vm1"), CancelToken()
    recorder = RunRecorder(log)
    definition = TestDefinition(name="smoke", format="", description="")
    recorder.expect_tests([OverlayTest(definition=definition, uuid="uuid-0", source="")])
    watch = NodeWatch(ConsoleWatch(), token, recorder, log)
    watch.system_is_up()
    with Console(PlayedShell([chunks]), Recorder(folder / "log"), watch=watch) as console:
        session = Session(Shell(console), recorder, GroupSide(answer), log)
        try:
            session.run("runner", Deadline.after("the test", LIMIT_S, token))
        except VMGroupError as error:
            return recorder, error
        finally:
            watch.stop()
    return recorder, None


def pieces(data: bytes, chance: random.Random) -> list[bytes]:
    """The same bytes in reads of any size."""
    size = chance.choice((1, 7, 100, 65536))
    return [data[at : at + size] for at in range(0, len(data), size)]


def noise(chance: random.Random, corpus: list[bytes]) -> bytes:
    """A console of changed and torn pieces of real ones."""
    parts = []
    for _ in range(chance.randint(1, 6)):
        part = chance.choice(corpus)
        match chance.randrange(8):
            case 0:
                part = chance.randbytes(chance.randrange(3000))
            case 1:
                start = chance.randrange(len(part))
                part = part[start : start + chance.randint(1, 60)] * chance.randint(1, 2000)
            case 2:
                part = part.replace(b"\n", b"")
            case 3:
                place = Place(chance.choice((0, 1, 9999)), chance.choice((1, 2, 999_999)))
                text = chance.choice(part.decode(errors="replace").splitlines())
                part = enveloped(place, text).encode() + b"\n"
            case 4:
                pass
            case _:
                part = mutate.mutated(part, chance, most=8)
        parts.append(part)
    return b"".join(parts)


def well_formed(chance: random.Random) -> tuple[list[str], Told]:
    """The records of a test run, and the test cases that they mean."""
    markers, told, test_set = ["SIGNAL_STARTRUN smoke uuid-0"], Told(), None
    for number in range(chance.randint(1, 12)):
        if chance.random() < 0.2:
            test_set = None if test_set else f"set{number}"
            markers.append(f"SIGNAL_TESTSET {f'START {test_set}' if test_set else 'STOP'}")
        outcome = chance.choice(("pass", "fail", "skip", "unknown"))
        markers.append(f"SIGNAL_TESTCASE TEST_CASE_ID=c{number} RESULT={outcome}")
        told.append((f"c{number}", outcome, test_set))
    markers.append("SIGNAL_ENDRUN smoke uuid-0")
    return [enveloped(Place(0, n), f"<LAVA_{one}>") for n, one in enumerate(markers, 1)], told


def disturbed(records: list[str], chance: random.Random) -> bytes:
    """The records' lines with something written into them at some places."""
    text = bytearray("".join(f"{record}\r\n" for record in records).encode())
    for _ in range(chance.randint(0, 5)):
        at = chance.randrange(len(text) + 1)
        text[at:at] = chance.choice(DISTURBANCES)
    # A console that loses its last record cannot tell that there was one: it is said twice.
    return bytes(text) + f"\r\n{records[-1]}\r\n".encode()


def difference(chance: random.Random, folder: Path) -> str | None:
    """Return the wrong results that a disturbed console led to, or None."""
    records, wanted = well_formed(chance)
    console = disturbed(records, chance)
    recorder, error = attend([*pieces(console, chance), END], folder)
    (run,) = recorder.runs
    got = [(case.name, case.outcome.value) for case in run.cases]
    names = [(name, outcome) for name, outcome, _ in wanted]
    lost = [case for case in names if case not in got]
    known = [case for case in names if case in got]
    if error is not None or got != known or run.missing_records < len(lost):
        return f"{console!r} became {got}, {run.missing_records} missing, {error}"
    if not run.missing_records:
        sets = [(case.name, case.outcome.value, case.test_set) for case in run.cases]
        if sets != wanted:
            return f"{console!r} became {sets}"
    return None


def fuzz(count: int, seed: int) -> list[str]:
    """Play that many consoles, half of them well-formed ones."""
    level = LOGGER.level
    LOGGER.setLevel(logging.CRITICAL)
    try:
        return list(_fuzz(count, seed))
    finally:
        LOGGER.setLevel(level)


def _fuzz(count: int, seed: int) -> Iterator[str]:
    corpus = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            chance = random.Random(f"{seed} {number}")  # noqa: S311 - to be repeated
            what = f"input {number}"
            try:
                if number % 2:
                    found = difference(chance, folder)
                else:
                    found = _endured(pieces(noise(chance, corpus), chance), folder, number)
            except Exception:  # noqa: BLE001 - that is what is looked for
                found = traceback.format_exc()
            if found:
                yield f"{what}: {found}"


def _endured(chunks: list[bytes], folder: Path, number: int) -> str | None:
    """Return the fault of a session, or None; look at its memory now and then."""
    looked_at = number % 100 == 0
    if looked_at:
        tracemalloc.start()
    try:
        recorder, error = attend([*chunks, END], folder)
        _ = recorder.runs
        most = tracemalloc.get_traced_memory()[1] if looked_at else 0
    finally:
        tracemalloc.stop()
    if type(error) is VMGroupError:
        return f"an error without a class: {error.message}"
    return f"{most >> 20} MiB for {sum(map(len, chunks))} bytes" if most > MEMORY else None


def main(arguments: list[str] | None = None) -> int:
    """Run as told on the command line; 1 if anything was wrong."""
    return mutate.main(fuzz, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
