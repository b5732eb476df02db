# SPDX-License-Identifier: MIT
"""Channels to a command on the host that runs for long: a stream of bytes, or lines."""

from __future__ import annotations

from contextlib import suppress

import paramiko

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost
from lava_vmgroup.connections.stream import CHUNK

CONNECTION_ERRORS = (OSError, EOFError, paramiko.SSHException)
"""The errors that paramiko raises when a connection or one of its channels fails."""

_FIND_OUT_S = 0.5
_LINE_LIMIT = CHUNK


def broke_off(channel: paramiko.Channel) -> bool:
    """Return whether a channel ended because its connection broke off, before its command ended.

    Blocks for up to 0.5 s: a send fails before paramiko marks the channel as closed.
    """
    channel.status_event.wait(_FIND_OUT_S)
    return channel.closed and not channel.eof_received and channel.exit_status < 0


def shut(end: paramiko.Channel | paramiko.SFTPClient) -> None:
    """Close a channel or an SFTP session, from any thread; ignore errors of a lost connection."""
    with suppress(*CONNECTION_ERRORS):
        end.close()


def send(channel: paramiko.Channel, data: bytes) -> None:
    """Send all of `data`, in pieces: paramiko copies the unsent rest of its argument each time."""
    for start in range(0, len(data), CHUNK):
        channel.sendall(data[start : start + CHUNK])


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
                continue  # the timeout of a write, which paramiko applies to reads, too
            except OSError:
                return b""

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See `ByteStream.write`."""
        self._channel.settimeout(max(deadline.remaining_s, 0.001))
        try:
            send(self._channel, data)
        except TimeoutError as error:
            raise deadline.error() from error
        except CONNECTION_ERRORS as error:
            raise InfrastructureError("the console connection is closed") from error

    @property
    def broke_off(self) -> bool:
        """True if the stream has ended before its command; see the function `broke_off`."""
        return broke_off(self._channel)

    def close(self) -> None:
        """See `ByteStream.close`."""
        shut(self._channel)


class SshLines:
    """A channel to a command on the host that answers each line with a line."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._unread = b""

    @property
    def is_closed(self) -> bool:
        """True once no more questions can be asked."""
        return self._channel.closed

    def ask(self, question: str, deadline: Deadline) -> str:
        """See `LineChannel.ask`."""
        try:
            self._channel.settimeout(max(deadline.remaining_s, 0.001))
            send(self._channel, f"{question}\n".encode())
            while b"\n" not in self._unread:
                self._channel.settimeout(max(deadline.remaining_s, 0.001))
                chunk = self._channel.recv(CHUNK)
                if not chunk:
                    raise self._end()
                self._unread += chunk
                if len(self._unread) > _LINE_LIMIT:
                    raise InfrastructureError("the command on the host says more than a line")
        except TimeoutError as error:
            raise deadline.error() from error
        except CONNECTION_ERRORS as error:
            raise self._end() from error
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace")

    def close(self) -> None:
        """Close the channel, which ends the command's input and wakes a thread that asks."""
        shut(self._channel)

    def _end(self) -> InfrastructureError:
        if broke_off(self._channel):
            return LinkLost("the connection to the host broke off")
        return InfrastructureError("the command on the host has ended")
