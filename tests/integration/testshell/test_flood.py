# SPDX-License-Identifier: MIT
"""A kernel that floods the console takes no result and no message from a test."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import yaml

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell import answers, replies, transfer
from lava_vmgroup.testshell.calls import GroupSide
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.session import Session

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

LIMIT_S = 120.0
KERNEL = (
    b"[   12.345678] usb 1-1: new high-speed USB device <number 2>\r\n",
    b"random: crng init done\r\n",
    b"[  112.000001] EXT4-fs (vda): mounted\r\n[  112.000002] audit: type=1400\r\n",
    b"INFO: rcu_sched : PASS\r\n",
)


@dataclass
class Flooded:
    """A shell's terminal into which the kernel writes while a test runs, and which loses bytes."""

    stream: ProcessStream
    every: int
    """Bytes between two disturbances, on average."""
    losses: bool = False
    _random: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311
    _floods: bool = False
    _left: int = 0
    disturbed: int = 0

    def read(self) -> bytes:
        data = self.stream.read()
        self._floods = self._floods or b"STARTRUN" in data
        return self._disturb(data) if self._floods else data

    def _disturb(self, data: bytes) -> bytes:
        out = b""
        while len(data) > self._left:
            out, data = out + data[: self._left], data[self._left :]
            self._left = self._random.randint(0, 2 * self.every)
            self.disturbed += 1
            if self.losses and self._random.random() < 0.2:
                data = data[self._random.randint(1, 40) :]
            else:
                out += self._random.choice(KERNEL)
        self._left -= len(data)
        return out + data

    def write(self, data: bytes, deadline: Deadline) -> None:
        self.stream.write(data, deadline)

    def close(self) -> None:
        self.stream.close()


class Group:
    """Everything that was sent, in the order in which it was heard."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._lock = threading.Lock()

    def answer(self, call: MultiNodeCall, *_: object) -> replies.Reply | None:
        with self._lock:
            self.sent.append(" ".join((call.message_id, *call.arguments)))
        if call.api is MultiNodeApi.WAIT:
            return replies.reply_wait({"vm2": {"text": "two words " * 300}})
        return replies.reply_sync(ok=True) if call.api is MultiNodeApi.SYNC else None


def run(
    node: Node, flood: dict[str, object], *steps: str, limit_s: float = LIMIT_S
) -> tuple[RunRecorder, Group, Flooded]:
    """Run a test of these steps on a flooded console."""
    text = yaml.safe_dump(
        {
            "metadata": {"name": "flood", "format": "1.0", "description": ""},
            "run": {"steps": list(steps)},
        }
    )
    node.unpack(text)
    group, log = Group(), NodeLog("vm1")
    recorder = RunRecorder(log)
    definition = parse_definition(text, source="test")
    recorder.expect_tests([OverlayTest(definition=definition, uuid="uuid-0", source=text)])
    path = node.environment["PATH"]
    terminal = Flooded(
        ProcessStream(f"env -i PATH={path} LAVA_REPEAT_PAUSE=0.3 PS1=# {node.shell} -i"),
        **flood,  # type: ignore[arg-type]
    )
    deadline = Deadline.after("the test", limit_s)
    with Console(terminal, Recorder(node.root / "console.log")) as console:
        shell = Shell.prepare(console, deadline)
        served = Session(shell, recorder, GroupSide(group.answer), log)
        served.run(f"{node.bin}/lava-test-runner {node.directory}", deadline)
    return recorder, group, terminal


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Helpers ask again sooner here than their answers could cross on a real line."""
    monkeypatch.setattr(answers, "AGAIN_S", 0.1)
    monkeypatch.setattr(transfer, "PATIENCE_S", 0.5)


@pytest.mark.parametrize("node", ["busybox"], indirect=True)
@pytest.mark.parametrize(
    "flood", [{"every": 100}, {"every": 200, "losses": True}], ids=["kernel", "losses"]
)
def test_results_and_messages_survive_a_flood(node: Node, flood: dict[str, object]) -> None:
    recorder, group, terminal = run(
        node,
        flood,
        "n=1; while [ $n -le 40 ]; do"
        " for k in 1 2 3 4 5; do lava-test-case case-$n-$k --result pass; done;"
        " lava-send message-$n number=$n; n=$((n + 1)); done",
    )

    (told,) = recorder.runs
    assert [case.name for case in told.cases if "rcu_sched" not in case.name] == [
        f"case-{n}-{k}" for n in range(1, 41) for k in range(1, 6)
    ]
    assert {case.outcome for case in told.cases} == {Outcome.PASS}
    assert group.sent == [f"message-{n} number={n}" for n in range(1, 41)]
    assert (told.finished, told.missing_records) == (True, 0)
    assert terminal.disturbed > 100


def test_every_kind_of_record_survives_a_flood(node: Node) -> None:
    recorder, group, _ = run(
        node,
        {"every": 100, "losses": True},
        "lava-test-set start net",
        "lava-test-case a --shell true",
        "lava-test-reference b --result fail --reference https://lab/#1",
        "lava-test-set stop",
        "lava-wait there",
        f"cp {node.cache} {node.root}/there.txt",
        "lava-send long 'text=two words'",
        "lava-sync end",
        "lava-test-case c --result skip --measurement 5 --units s",
        "exit 3",
    )

    (told,) = recorder.runs
    cases = [case for case in told.cases if "rcu_sched" not in case.name]
    assert [(case.name, case.outcome.value, case.test_set) for case in cases] == [
        ("a", "pass", "net"),
        ("b", "fail", "net"),
        ("c", "skip", None),
        ("lava-test-shell-run", "fail", None),
    ]
    assert group.sent == ["there", "long text=two words", "end"]
    assert (node.root / "there.txt").read_text() == f"vm2:text={'two words ' * 300}\n"
    assert told.missing_records == 0


def test_results_of_programs_that_run_at_the_same_time_are_all_recorded(node: Node) -> None:
    recorder, group, _ = run(
        node,
        {"every": 200},
        "for p in 1 2 3 4; do"
        " (for n in 1 2 3 4 5 6 7 8 9 10; do lava-test-case $p-$n --result pass; done;"
        " lava-send $p) & done; lava-test-case fore --shell true; wait",
    )

    (told,) = recorder.runs
    names = [case.name for case in told.cases if "rcu_sched" not in case.name]
    assert sorted(names) == sorted(
        ["fore", *(f"{p}-{n}" for p in range(1, 5) for n in range(1, 11))]
    )
    assert sorted(group.sent) == ["1", "2", "3", "4"]


def test_helpers_need_neither_the_console_as_input_nor_as_output(node: Node) -> None:
    recorder, group, _ = run(
        node,
        {"every": 10**6},
        "echo one | while read -r word; do lava-send $word; lava-test-case $word --result pass;"
        " done",
        "lava-send two </dev/null >/dev/null",
        "lava-test-case two --result pass >/dev/null",
        "lava-sync three </dev/null",
    )

    (told,) = recorder.runs
    assert [case.name for case in told.cases] == ["one", "two"]
    assert group.sent == ["one", "two", "three"]
    assert told.finished
