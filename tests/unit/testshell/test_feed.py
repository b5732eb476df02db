# SPDX-License-Identifier: MIT
import os
import threading
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.stream import FdStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.events import Posted
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.testshell import feed as feed_module
from lava_vmgroup.testshell.feed import LINE_LIMIT, FedLine, Feed


class Endless:
    """A stream that always has more; every read is counted."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._closed = threading.Event()
        self.reads = 0

    def read(self) -> bytes:
        if self._closed.is_set():
            return b""
        self.reads += 1
        return self._data

    def write(self, data: bytes, deadline: Deadline) -> None:
        raise AssertionError("nothing is written")

    def close(self) -> None:
        self._closed.set()


def console_at(folder: Path) -> Console:
    end, _ = os.pipe()
    return Console(FdStream(end), Recorder(folder / "console.log"))


def test_no_more_is_read_than_is_taken(tmp_path: Path) -> None:
    endless = Endless(b"line\n" * 100)
    deadline = Deadline.after("a line", 30.0)
    with (
        console_at(tmp_path) as console,
        Feed(endless, console, Recorder(tmp_path / "records.log")) as feed,
    ):
        for _ in range(5000):
            assert console.next_event(deadline) == Posted(FedLine("line"))
            feed.taken()

    assert endless.reads <= 5000 // 100 + feed_module._WAITING // 100 + 2


def test_line_without_an_end_comes_in_pieces(tmp_path: Path) -> None:
    endless = Endless(b"x" * 1000)
    deadline = Deadline.after("a line", 30.0)
    with (
        console_at(tmp_path) as console,
        Feed(endless, console, Recorder(tmp_path / "records.log")),
    ):
        assert console.next_event(deadline) == Posted(FedLine("x" * LINE_LIMIT))
