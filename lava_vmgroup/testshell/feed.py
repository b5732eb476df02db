# SPDX-License-Identifier: MIT
"""Brings the records that come beside a node's console to the reader of that console."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Self

from lava_vmgroup.base.undecodable import decoded
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder

LINE_LIMIT = 16384
"""Bytes; a longer line is delivered in pieces."""

_WAITING = 1000
"""Lines that may wait for the console's reader.  With so many, the stream is not read."""
_JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class FedLine:
    """A line of a feed, without its line end."""

    text: str


class Feed:
    """A thread that posts the lines of a stream to a console as `FedLine`.

    It is a context manager, which closes the stream at its end.  The console's reader calls `taken`
    for every line, or the stream is not read any more.
    """

    def __init__(self, stream: ByteStream, console: Console, recorder: Recorder) -> None:
        self._stream = stream
        self._console = console
        self._recorder = recorder
        self._room = threading.Semaphore(_WAITING)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._stream.close()
        self._room.release()
        self._thread.join(_JOIN_S)
        self._recorder.close()

    def taken(self) -> None:
        """Make room for another line; call it for every line that the console gave."""
        self._room.release()

    def _run(self) -> None:
        unfinished = b""
        while data := self._stream.read():
            self._recorder.write(data)
            *lines, unfinished = (unfinished + data).split(b"\n")
            while len(unfinished) > LINE_LIMIT:
                lines.append(unfinished[:LINE_LIMIT])
                unfinished = unfinished[LINE_LIMIT:]
            for line in lines:
                self._room.acquire()
                if self._closed:
                    return
                self._console.post(FedLine(decoded(line)))
