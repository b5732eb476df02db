# SPDX-License-Identifier: MIT
"""A stream from and to a program on the host that outlives the link to the host.

The rules:

- The program writes to a file, and reads from a named pipe or not at all.  So a link that breaks
  off does not disturb it.
- The stream counts the bytes that it has read.  If the link breaks off, the stream opens the file
  again over a new link, and goes on with the next byte.
- Input that was under way when the link broke off may be lost.
- The stream frees the room on the host's disk of the bytes that it has read.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, VMGroupError
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.link import Link, LinkStream

_LOOK_S = 0.2
_ROOM_BYTES = 16 << 20
"""Bytes that are read before their room on the host is freed."""
_ROOM_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """The file that a program on the host writes and the pipe that it reads, in one folder."""

    folder: str
    file: str
    mark: str
    """The variable that also marks the command that reads the file; see `Supervisor.mark`."""
    pipe: str = "/dev/null"
    """The named pipe; ``/dev/null`` for a program that reads nothing."""
    pid_file: str = ""
    """The file with the number of a process; the stream ends with it, or never if this is empty."""

    @property
    def path(self) -> str:
        """The path of the file on the host."""
        return f"{self.folder}/{self.file}"

    def words(self, position: int) -> Sequence[str]:
        """Return the command that prints the file and copies its own input to the pipe.

        It begins with the byte at `position`, and goes on with all that is added to the file.
        """
        names = (self.file, self.pipe, str(position + 1), self.pid_file)
        return ["env", self.mark, *sh_command("vms/follow.sh", self.folder, *names)]


class SpooledStream:
    """A `ByteStream` from and to a program on the host, over one link after the other."""

    def __init__(self, spool: Spool, link: Link, deadline: Deadline, position: int = 0) -> None:
        """Open the stream; `position` counts from 0, and is that of the first byte to read."""
        self._spool = spool
        self._link = link
        self.position = position
        """The position in the file of the next byte."""
        self._room_at = position + _ROOM_BYTES
        self._ended = CancelToken()
        self._attaching = threading.Lock()
        self._stream: LinkStream | None = self._attach(deadline)

    def read(self) -> bytes:
        """See `ByteStream.read`.

        If the link breaks off, blocks until the host is reached again.  If that fails within
        `Link.patience_s`, returns ``b""``.
        """
        while (stream := self._attached()) is not None:
            if data := stream.read():
                self.position += len(data)
                self._make_room()
                return data
            if not stream.broke_off:
                break
            self._lose(stream)
        return b""

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See `ByteStream.write`.

        Data that was under way when a link broke off may be lost, so a caller that needs an answer
        asks again.
        """
        while (stream := self._attached(deadline)) is not None:
            try:
                stream.write(data, deadline)
            except InfrastructureError:
                if not stream.broke_off:
                    raise
                self._lose(stream)
            else:
                return
        raise InfrastructureError("the console connection is closed")

    def close(self) -> None:
        """See `ByteStream.close`."""
        self._ended.cancel(InfrastructureError("the stream was closed"))
        if (stream := self._stream) is not None:
            stream.close()

    def _attached(self, deadline: Deadline | None = None) -> LinkStream | None:
        """Return the channel, a new one if the link broke off; None if the stream has ended.

        Blocks while it or another thread opens a new channel.
        """
        while not self._attaching.acquire(timeout=_LOOK_S):
            if deadline is not None:
                deadline.check()
        try:
            if self._stream is None and self._ended.reason is None:
                limit = Deadline.after("the host", self._link.patience_s, self._ended)
                self._stream = self._attach(limit)
            return self._stream if self._ended.reason is None else None
        except VMGroupError as error:
            self._ended.cancel(error)
            return None
        finally:
            self._attaching.release()

    def _attach(self, deadline: Deadline) -> LinkStream:
        return self._link.open_stream_again(self._spool.words(self.position), deadline)

    def _lose(self, stream: LinkStream) -> None:
        """Close a channel that broke off and forget it; keep a newer one of another thread."""
        stream.close()
        with self._attaching:
            if self._stream is stream:
                self._stream = None

    def _make_room(self) -> None:
        """Free the room of the bytes that were read, if the host's tools and file system can."""
        if self.position < self._room_at:
            return
        self._room_at = self.position + _ROOM_BYTES
        length = str(self.position)
        words = ["fallocate", "-p", "-o", "0", "-l", length, self._spool.path]
        try:
            self._link.run(words, Deadline.after("making room", _ROOM_S, self._ended))
        except VMGroupError:
            return
