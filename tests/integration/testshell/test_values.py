# SPDX-License-Identifier: MIT
"""Values that tests send each other arrive unchanged, under every shell, over bad consoles too."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell import patterns, replies, transfer
from lava_vmgroup.testshell.calls import GroupSide, IfBlocked
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.session import Session

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

KERNEL = b"[   12.345678] usb 1-1: new high-speed USB device <number 2>\r\n"
TEXT = (
    "two  words 'q' \"Q\" \\ \\n %41 %% <a> <b *?[x] $HOME `id` $(id) #;&|!~^ x=y= \t é ü 漢字 🙂 "
)
LONG = TEXT * 200
LIMIT_S = 60.0


@dataclass
class Terminal:
    """A shell's terminal that does to the bytes what a bad line does."""

    stream: ProcessStream
    piece: int = 65536
    """Bytes that are read at once."""
    kernel_every: int = 0
    """Bytes after which the kernel writes into a part; 0 for never."""
    damage_every: int = 0
    """Parts from one damaged part to the next; 0 for none."""
    damage: tuple[bytes, bytes] = (b"", b"")
    """The bytes that a damaged part loses, and those in their place."""
    _unread: bytes = b""
    _last: bytes = b""
    _since: int = 0
    typed: list[bytes] = field(default_factory=list)

    def read(self) -> bytes:
        self._unread = self._unread or self.stream.read()
        piece, self._unread = self._unread[: self.piece], self._unread[self.piece :]
        self._last = (self._last + piece)[-300:]
        self._since += len(piece)
        marker = self._last.rpartition(b"\n")[2]
        if self.kernel_every and self._since > self.kernel_every and b"SEND_PART " in marker:
            self._since = 0
            return piece + KERNEL
        return piece

    def write(self, data: bytes, deadline: Deadline) -> None:
        if b"_PART " in data:
            self.typed.append(data)
            if self.damage_every and len(self.typed) % self.damage_every == 0:
                data = data.replace(*self.damage, 1)
        self.stream.write(data, deadline)

    def close(self) -> None:
        self.stream.close()


class Group:
    """The messages of a group; the sender seems to be vm2 always."""

    def __init__(self) -> None:
        self.sent: dict[str, dict[str, str]] = {}
        self._changed = threading.Condition()

    def answer(
        self, call: MultiNodeCall, _: CancelToken, deadline: Deadline, __: IfBlocked
    ) -> replies.Reply | None:
        with self._changed:
            if call.api is MultiNodeApi.SEND:
                self.sent[call.message_id] = patterns.parse_arguments(call.arguments)
                self._changed.notify_all()
                return None
            if call.api is MultiNodeApi.SYNC:
                return replies.reply_sync(ok=True)
            self._changed.wait_for(lambda: call.message_id in self.sent, deadline.remaining_s)
            data = self.sent[call.message_id]
        if call.api is MultiNodeApi.WAIT:
            return replies.reply_wait({"vm2": data})
        return replies.reply_wait_all({"vm1": data, "vm2": {}, "vm3": data})


@contextmanager
def console_of(node: Node, terminal: Terminal, log: Path) -> Iterator[Shell]:
    deadline = Deadline.after("the shell", LIMIT_S)
    with Console(terminal, Recorder(log)) as console:
        yield Shell.prepare(console, deadline)


def run(node: Node, *steps: str, value: str = "", **line: object) -> tuple[Group, Terminal, int]:
    """Run a test of these steps in a session; what was sent and typed, and the test's status."""
    content = {
        "metadata": {"name": "values", "format": "1.0", "description": ""},
        "run": {"steps": list(steps)},
    }
    text = yaml.safe_dump(content)
    node.unpack(text, parameters={"VALUE": value})
    path = node.environment["PATH"]
    terminal = Terminal(ProcessStream(f"env -i PATH={path} PS1=# {node.shell} -i"))
    vars(terminal).update(line)
    group, log = Group(), NodeLog("vm1")
    recorder = RunRecorder(log)
    definition = parse_definition(text, source="test")
    recorder.expect_tests([OverlayTest(definition=definition, uuid="uuid-0", source=text)])
    with console_of(node, terminal, node.root / "console.log") as shell:
        session = Session(shell, recorder, GroupSide(group.answer), log)
        session.run(
            f"{node.bin}/lava-test-runner {node.directory}", Deadline.after("the test", LIMIT_S)
        )
    return group, terminal, int((node.result_directory(0) / "return_code").read_text())


SEND_AND_WAIT = ('lava-send ready first=1 "text=$VALUE" empty= "last=x y"', "lava-wait ready")


def cached(value: str) -> bytes:
    return f"vm2:first=1\nvm2:text={value}\nvm2:empty=\nvm2:last=x y\n".encode()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a b", id="blank"),
        pytest.param("  a  b  ", id="blanks"),
        pytest.param("a=b other=c", id="pairs"),
        pytest.param("é漢🙂", id="utf-8"),
        pytest.param("<LAVA_SIGNAL_TESTRAISE no>", id="marker"),
        pytest.param("a\x1b[31m\x03\x04\r\x7f", id="controls"),
        pytest.param(TEXT, id="all"),
    ],
)
def test_a_value_arrives_unchanged(node: Node, value: str) -> None:
    group, _, status = run(node, *SEND_AND_WAIT, value=value)

    assert status == 0
    assert group.sent["ready"] == {"first": "1", "text": value, "empty": "", "last": "x y"}
    assert node.cache.read_bytes() == cached(value)


def test_bytes_that_are_not_utf_8_arrive_unchanged(node: Node) -> None:
    every = "".join(f"\\{number:03o}" for number in range(1, 256) if chr(number) != "\n")

    run(node, f"lava-send ready \"text=$(printf '{every}')\"", "lava-wait ready")

    assert node.cache.read_bytes() == b"vm2:text=%b\n" % bytes(
        number for number in range(1, 256) if chr(number) != "\n"
    )


def test_values_of_all_senders_arrive(node: Node) -> None:
    run(node, SEND_AND_WAIT[0], "lava-wait-all ready", value=LONG)

    assert node.cache.read_bytes() == b"".join(
        cached(LONG).replace(b"vm2:", f"{sender}:".encode()) for sender in ("vm1", "vm3")
    )


def test_a_long_value_without_anything_special_arrives(node: Node) -> None:
    group, _, _ = run(node, *SEND_AND_WAIT, value=20480 * "x")

    assert group.sent["ready"]["text"] == 20480 * "x"
    assert node.cache.read_bytes() == cached(20480 * "x")


def test_a_value_of_100_kib_arrives(node: Node) -> None:
    value = (TEXT * 1200).encode()[: 100 << 10].decode(errors="ignore")

    run(node, *SEND_AND_WAIT, value=value)

    assert node.cache.read_bytes() == cached(value)


def test_values_survive_a_slow_console_on_which_the_kernel_writes(node: Node) -> None:
    run(node, *SEND_AND_WAIT, value=LONG, piece=7, kernel_every=2000)

    assert node.cache.read_bytes() == cached(LONG)
    assert (node.root / "console.log").read_bytes().count(b"usb 1-1") > 5


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param((b"%2", b""), id="lost"),
        pytest.param((b"%2", b"%3"), id="changed"),
        pytest.param((b"/", b"/1"), id="number"),
        pytest.param((b"_PART", b"_PRT"), id="name"),
        pytest.param((b"20", b"\n"), id="torn"),
    ],
)
def test_a_damaged_part_of_a_reply_is_asked_for_again(
    node: Node, damage: tuple[bytes, bytes]
) -> None:
    _, terminal, status = run(node, *SEND_AND_WAIT, value=LONG, damage_every=5, damage=damage)

    assert status == 0
    assert node.cache.read_bytes() == cached(LONG)
    assert len(terminal.typed) > len(set(terminal.typed))


@pytest.mark.parametrize(
    ("lost", "every", "times"), [(b"\n", 3, 20), (b"<LAVA_WAIT_", 3, 20), (b"\n", 1, 5)]
)
def test_a_part_that_does_not_show_is_typed_again(
    node: Node, lost: bytes, every: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_S", 1.0)

    _, _, status = run(
        node, *SEND_AND_WAIT, value=TEXT * times, damage_every=every, damage=(lost, b"")
    )

    assert status == 0
    assert node.cache.read_bytes() == cached(TEXT * times)


AT_ONCE = """\
bin=$1/bin LAVA_MULTI_NODE_CACHE=$2
. "$bin/lava-multi-node.sh"
LAVA_MULTI_NODE_CACHE=$2 place=0.1 record_file=/dev/null
read_answer() {
    echo part >"$LAVA_MULTI_NODE_CACHE.new"
    stop_repeating
    [ -s "$LAVA_MULTI_NODE_CACHE.new" ] || exit 3
}
for _ in 1 2 3 4 5 6 7 8 9 10; do await_answer WAIT; done
"""


def test_a_part_that_arrives_at_once_stays(node: Node) -> None:
    node.unpack()
    command = [str(node.shell), "-c", AT_ONCE, "test", str(node.directory), str(node.cache)]

    # On one processor, what is started in the background has to wait.
    done = subprocess.run(
        ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command],
        env=node.environment | {"PATH": os.environ["PATH"]},
        timeout=LIMIT_S,
    )

    assert done.returncode == 0


def test_a_reply_that_never_arrives_is_refused(node: Node) -> None:
    _, terminal, status = run(
        node, *SEND_AND_WAIT, value=LONG, damage_every=1, damage=(b" 3/", b" 4/")
    )

    assert status == 1
    assert not node.cache.exists()
    third = [line for line in terminal.typed if b" 3/" in line]
    assert len(third) == len(terminal.typed) - 2
    assert not list(node.root.glob("cache.txt.*"))


def test_waits_after_one_another_do_not_mix_their_data(node: Node) -> None:
    run(
        node,
        'lava-send one "text=$VALUE"',
        "lava-send two 'text=a b'",
        "lava-wait one",
        f"cp {node.cache} {node.root}/one.txt",
        "lava-wait two",
        "lava-sync end",
        value=LONG,
    )

    assert (node.root / "one.txt").read_bytes() == f"vm2:text={LONG}\n".encode()
    assert node.cache.read_bytes() == b"vm2:text=a b\n"


def test_what_the_log_shows_of_a_call_is_short_and_harmless(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "lava_vmgroup"):
        run(node, SEND_AND_WAIT[0], value="\x1b[2J" + LONG)

    (sent,) = (text for text in caplog.messages if text.startswith("lava-send"))
    assert sent.startswith("lava-send ready first=1 text=two words 'q'")
    assert len(sent) < 300
    assert not re.search(r"[\x00-\x1f]", sent)


def test_a_short_plain_message_has_lavas_form_in_both_directions(node: Node) -> None:
    _, terminal, _ = run(node, "lava-send ready url=http://a/?b=50% empty=", "lava-wait ready")

    log = (node.root / "console.log").read_text()
    assert "<LAVA_MULTI_NODE> <LAVA_SEND ready url=http://a/?b=50% empty= CHECK=" in log
    assert terminal.typed == []
    assert node.cache.read_text() == "vm2:url=http://a/?b=50%\nvm2:empty=\n"
