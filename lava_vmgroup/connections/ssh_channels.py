# SPDX-License-Identifier: MIT
"""The ends of a command on the host that runs for long: a stream of bytes, or lines."""

from __future__ import annotations

import paramiko

from lava_vmgroup.connections.stream import CHUNK
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError


class ChannelStream:
    """A `ByteStream` to the standard input and output of a command on the host."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def read(self) -> bytes:
        """See `ByteStream.read`."""
        while True:
            try:
                return self._channel.recv(CHUNK)
            except TimeoutError:
                continue  # a write's deadline, which paramiko shares with reads
            except OSError:
                return b""

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See `ByteStream.write`."""
        self._channel.settimeout(max(deadline.remaining_s, 0.001))
        try:
            self._channel.sendall(data)
        except TimeoutError as error:
            raise deadline.error() from error
        except OSError as error:
            raise InfrastructureError("the console connection is closed") from error

    def close(self) -> None:
        """See `ByteStream.close`."""
        self._channel.close()


class LineChannel:
    """Asks a command on the host questions of a line each, which it answers by a line each."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._unread = b""

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._channel.closed

    def ask(self, question: str, deadline: Deadline) -> str:
        """Send a line and wait for one.

        Raises the deadline's error, and `InfrastructureError` when the command has ended.
        """
        try:
            self._channel.settimeout(max(deadline.remaining_s, 0.001))
            self._channel.sendall(f"{question}\n".encode())
            while b"\n" not in self._unread:
                self._channel.settimeout(max(deadline.remaining_s, 0.001))
                chunk = self._channel.recv(CHUNK)
                if not chunk:
                    raise InfrastructureError("the command on the host has ended")
                self._unread += chunk
        except TimeoutError as error:
            raise deadline.error() from error
        except OSError as error:
            raise InfrastructureError(str(error) or "closed") from error
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace")

    def close(self) -> None:
        """End the command's input; wakes who asks."""
        self._channel.close()
