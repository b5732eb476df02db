# SPDX-License-Identifier: MIT
"""What a program on the host writes to a file, as a stream that outlives the link to the host.

The program knows nothing of links: it writes a file, and reads a named pipe if it reads at all.
Whenever the link breaks off, the stream goes on over the next one with the byte that is due.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, VMGroupError
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.ssh import SshLink
from lava_vmgroup.connections.ssh_channels import ChannelStream

_LOOK_S = 0.2
_ROOM_BYTES = 16 << 20
"""How much is read before its room on the host is given back."""
_ROOM_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """Where a program on the host writes to, and what it reads; names in one folder."""

    folder: str
    file: str
    mark: str
    """What stands in the environment of all that belongs to the program."""
    pipe: str = "/dev/null"
    pid_file: str = ""
    """Has the process with whose end the stream ends; without it that is open."""

    @property
    def path(self) -> str:
        """The file."""
        return f"{self.folder}/{self.file}"

    def words(self, position: int) -> Sequence[str]:
        """The command that prints the file from `position` on, and feeds the pipe."""
        names = (self.file, self.pipe, str(position + 1), self.pid_file)
        return ["env", self.mark, *sh_command("vms/follow.sh", self.folder, *names)]


class SpooledStream:
    """A `ByteStream` from and to a program on the host, over links that come and go."""

    def __init__(self, spool: Spool, link: SshLink, deadline: Deadline, position: int = 0) -> None:
        """Begin with the byte at `position`."""
        self._spool = spool
        self._link = link
        self.position = position
        """How many bytes of the file were read."""
        self._room_at = position + _ROOM_BYTES
        self._ended = CancelToken()
        self._attaching = threading.Lock()
        self._stream: ChannelStream | None = self._attach(deadline)

    def read(self) -> bytes:
        """See `ByteStream.read`; blocks for as long as the host is out of reach, too."""
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

        What was under way when a link broke off may be lost; whoever needs an answer asks again.
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

    def _attached(self, deadline: Deadline | None = None) -> ChannelStream | None:
        """The stream over the link that there is; None when there is none any more."""
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

    def _attach(self, deadline: Deadline) -> ChannelStream:
        return self._link.open_stream_again(self._spool.words(self.position), deadline)

    def _lose(self, stream: ChannelStream) -> None:
        """Take a stream for gone, unless another thread did, and has another one already."""
        stream.close()
        with self._attaching:
            if self._stream is stream:
                self._stream = None

    def _make_room(self) -> None:
        """Give back the room of what was read, where the host's tools and file system can."""
        if self.position < self._room_at:
            return
        self._room_at = self.position + _ROOM_BYTES
        length = str(self.position)
        words = ["fallocate", "-p", "-o", "0", "-l", length, self._spool.path]
        try:
            self._link.run(words, Deadline.after("making room", _ROOM_S, self._ended))
        except VMGroupError:
            return
