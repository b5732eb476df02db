# SPDX-License-Identifier: MIT
"""Streams that say what they were told to say, whatever is typed."""

from __future__ import annotations

import os
import queue
import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.stream import ByteStream, FdStream


@contextmanager
def silent_stream() -> Iterator[ByteStream]:
    """A stream on which nothing comes until its end, with the block."""
    reading, writing = os.pipe()
    stream = FdStream(reading)
    yield stream
    stream.close()
    os.close(writing)


class Scripted:
    """A `ByteStream` of these chunks that ends after the last one."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.typed = b""
        self._chunks = iter(chunks)
        self._closed = threading.Event()

    def read(self) -> bytes:
        if self._closed.is_set():
            return b""
        return next((chunk for chunk in self._chunks if chunk), b"")

    def write(self, data: bytes, deadline: Deadline) -> None:
        deadline.check()
        self.typed += data

    def close(self) -> None:
        self._closed.set()


_TYPED = re.compile(
    rb"(?:lava_c=(?P<command>.*);lava_run (?P<number>\d+) \d+;\\command eval \"\$lava_t\""
    rb"|lava_ask (?P<asked>\d+))\n",
    re.DOTALL,
)


class PlayedShell:
    """A `ByteStream` that answers `Shell` with what it was told to, and ends after the last answer.

    The command ``:`` is answered with nothing, as by real shells.
    """

    def __init__(self, answers: Iterable[Iterable[bytes]]) -> None:
        self.typed = b""
        self._answers = deque(answers)
        self._number, self._asked = b"0", b"0"
        self._line = b""
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read(self) -> bytes:
        return self._chunks.get()

    def write(self, data: bytes, deadline: Deadline) -> None:
        deadline.check()
        self.typed += data
        self._line += data
        if not self._line.endswith(b"\n"):
            return
        found, self._line = _TYPED.fullmatch(self._line), b""
        if found is None:
            return
        self._number = found["number"] or self._number
        self._asked = found["asked"] or self._asked
        ours = found["command"] not in (None, b":")
        if found["number"]:
            self._say(b"lava-begin %s;\r\n" % self._number)
        for chunk in self._answers.popleft() if ours else ():
            self._say(chunk)
        if found["number"]:
            self._say(b"lava-end %s 0;\r\n" % self._number)
        self._say(b"lava-test %s.%s.%s [rc=0]# " % (self._number, self._asked, self._number))
        if ours and not self._answers:
            self.close()

    def close(self) -> None:
        self._chunks.put(b"")

    def _say(self, chunk: bytes) -> None:
        if chunk:
            self._chunks.put(chunk)
