# SPDX-License-Identifier: MIT
"""SSH and SFTP to the host, by paramiko: commands, byte streams and files.

Commands are lists of words here and are quoted once, where they are sent.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import paramiko

from lava_vmgroup.connections.ssh_access import Access, Address, connect
from lava_vmgroup.connections.ssh_channels import (
    CONNECTION_ERRORS,
    ChannelStream,
    LineChannel,
    broke_off,
    shut,
)
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.connections.stream import CHUNK
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError, LinkLost
from lava_vmgroup.sparse import data_blocks

BLOCK = 131072
"""Bytes per SFTP write; OpenSSH takes up to 256 KiB, and with this a slow host was quickest."""

MAX_OUTPUT = 16 << 20
"""Bytes that a command on the host may print: what it prints is held in memory."""

_TRIES = 3
_LOOK_S = 0.2
_COLUMNS = 1024
"""A terminal's width; shells break the echo of longer lines."""


Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command on the host printed (both its streams) and how it ended."""

    status: int
    output: str


class SshLink:
    """An SSH connection to the host, which is made again when it has broken off.

    Only what has not begun, or may be begun again, is done over the new connection; another command
    that ran raises `LinkLost`.  Commands may be started by any thread; files are one thread's.
    """

    def __init__(self, transport: paramiko.Transport, access: Access) -> None:
        self._transport = transport
        self._access = access
        self._connecting = threading.Lock()
        self._closed = False
        self._sftp: paramiko.SFTPClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def local_name(self) -> str:
        """What the link connects to, for messages."""
        address = self._access.address
        return f"{address.username}@{address.host}:{address.port}"

    @property
    def patience_s(self) -> int:
        """How long the host may be out of reach for what needs it."""
        return self._access.address.link_patience_s

    def close(self) -> None:
        """Close the connection and all its channels for good; from any thread."""
        self._closed = True
        self._transport.close()

    def run(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        stdin: bytes | Iterable[bytes] = b"",
    ) -> CommandResult:
        """Run a command, feed it `stdin` (perhaps piece by piece), and wait for its end."""
        channel = self._open_channel(deadline)
        try:
            with deadline.ending(partial(shut, channel)):
                channel.set_combine_stderr(True)
                channel.exec_command(shlex.join(argv))
                for piece in [stdin] if isinstance(stdin, bytes) else stdin:
                    channel.sendall(piece)
                channel.shutdown_write()
                output = self._output_of(channel, argv[0])
                channel.status_event.wait(deadline.step_s)
                deadline.check()
                if broke_off(channel):
                    raise self._lost(argv[0])
                return CommandResult(channel.exit_status, output.decode(errors="replace"))
        except CONNECTION_ERRORS as error:
            deadline.check()
            if broke_off(channel):
                raise self._lost(argv[0]) from error
            raise self._failure(f"running {argv[0]}", error, deadline) from error
        finally:
            shut(channel)

    def run_again(self, argv: Sequence[str], deadline: Deadline) -> CommandResult:
        """Run a command that may be run twice: again, where the connection breaks off under it."""
        for _ in range(_TRIES - 1):
            with suppress(LinkLost):
                return self.run(argv, deadline)
        return self.run(argv, deadline)

    def _lost(self, program: str) -> LinkLost:
        return LinkLost(f"{self.local_name} broke off while {program} ran there")

    def _output_of(self, channel: paramiko.Channel, program: str) -> bytes:
        output = bytearray()
        while chunk := channel.recv(CHUNK):
            output += chunk
            if len(output) > MAX_OUTPUT:
                raise InfrastructureError(f"{program} on the host says more than it may")
        return bytes(output)

    def check_run(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        stdin: bytes | Iterable[bytes] = b"",
    ) -> str:
        """Run a command that must succeed; returns its output."""
        result = self.run(argv, deadline, stdin=stdin)
        if result.status != 0:
            said = result.output.splitlines()[-20:]
            why = f": {said[-1]}" if said else ""
            raise InfrastructureError(
                f"on the host, {shlex.join(argv)[:200]!r} ended with status {result.status}{why}",
                last_lines=said,
            )
        return result.output

    @contextmanager
    def holding(self, argv: Sequence[str], deadline: Deadline) -> Iterator[str]:
        """Start a command, and end its input when the context ends; gives its first words.

        For a command that says what it has got and keeps it until its input ends.
        """
        channel = self._open_channel(deadline)
        try:
            with deadline.ending(partial(shut, channel)):
                channel.exec_command(shlex.join(argv))
                said = channel.recv(CHUNK)
            deadline.check()
            yield said.decode(errors="replace").strip()
        except CONNECTION_ERRORS as error:
            raise self._failure(f"running {argv[0]}", error, deadline) from error
        finally:
            shut(channel)

    def open_stream(
        self, argv: Sequence[str], deadline: Deadline, *, terminal: bool = False
    ) -> ChannelStream:
        """Start a command whose standard input and output become a byte stream.

        With `terminal` they are a terminal of the host's, for programs that want one.
        """
        return ChannelStream(self._started(argv, deadline, terminal=terminal))

    def open_lines(self, argv: Sequence[str], deadline: Deadline) -> LineChannel:
        """Start a command that answers line by line; the channel may be another thread's."""
        return LineChannel(self._started(argv, deadline, terminal=False))

    def peer_ip(self) -> str:
        """The IP address of the host."""
        name: tuple[str, int] = self._transport.getpeername()
        return name[0]

    def size_of(self, remote: str, deadline: Deadline) -> int | None:
        """The size of a file on the host in bytes, None when there is none."""

        def look(files: paramiko.SFTPClient) -> int | None:
            try:
                return files.stat(remote).st_size
            except FileNotFoundError:
                return None

        return self._on_files(f"looking at {remote}", deadline, look)

    def put(
        self,
        local: Path,
        remote: str,
        deadline: Deadline,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Copy a file to the host, leaving its runs of zeros out as holes.

        `progress` is called with the position reached.  Returns the number of bytes sent.
        """

        def copy(files: paramiko.SFTPClient) -> int:
            sent, last, last_byte = 0, 0, b""
            with local.open("rb") as source, files.open(remote, "wb") as target:
                target.set_pipelined(True)
                for position, block in data_blocks(source, BLOCK):
                    deadline.check()
                    target.seek(position)
                    target.write(block)
                    sent += len(block)
                    if progress is not None:
                        progress(position + len(block))
                    last, last_byte = position + len(block) - 1, block[-1:]
                _write_surely(target, last, last_byte)
                target.truncate(local.stat().st_size)
            return sent

        return self._on_files(f"copying {local.name} to {remote}", deadline, copy)

    def put_bytes(self, data: bytes, remote: str, deadline: Deadline) -> None:
        """Write a small file on the host, over what is there; its length never shrinks."""

        def write(files: paramiko.SFTPClient) -> None:
            with files.open(remote, "r+b") as target:
                target.set_pipelined(True)
                target.write(data)
                _write_surely(target, len(data) - 1, data[-1:])

        self._on_files(f"writing {remote}", deadline, write)

    def get_bytes(self, remote: str, size: int, deadline: Deadline) -> bytes:
        """The first `size` bytes of a file on the host, fewer when it is shorter."""

        def read(files: paramiko.SFTPClient) -> bytes:
            with files.open(remote, "rb") as source:
                source.prefetch(size)
                return source.read(size)

        return self._on_files(f"reading {remote}", deadline, read)

    def rename(self, old: str, new: str, deadline: Deadline) -> None:
        """Rename a file on the host over whatever has the new name."""
        self._on_files(f"renaming {old}", deadline, lambda files: files.posix_rename(old, new))

    def _started(
        self, argv: Sequence[str], deadline: Deadline, *, terminal: bool
    ) -> paramiko.Channel:
        channel = self._open_channel(deadline)
        try:
            with deadline.ending(partial(shut, channel)):
                if terminal:
                    channel.get_pty(term="dumb", width=_COLUMNS, height=24)
                channel.exec_command(shlex.join(argv))
        except CONNECTION_ERRORS as error:
            shut(channel)
            raise self._failure(f"starting {argv[0]}", error, deadline) from error
        return channel

    def _open_channel(self, deadline: Deadline) -> paramiko.Channel:
        return self._trying(
            "opening a channel", deadline, lambda transport: self._session(transport, deadline)
        )

    def _session(self, transport: paramiko.Transport, deadline: Deadline) -> paramiko.Channel:
        return transport.open_session(timeout=min(deadline.remaining_s, self.patience_s))

    def _on_files(
        self, doing: str, deadline: Deadline, work: Callable[[paramiko.SFTPClient], Result]
    ) -> Result:
        """Do something with the host's files, again from its beginning if the link breaks off."""

        def attempt(transport: paramiko.Transport) -> Result:
            with deadline.ending(self._drop_files):
                return work(self._files(transport, deadline))

        return self._trying(doing, deadline, attempt)

    def _trying(
        self, doing: str, deadline: Deadline, work: Callable[[paramiko.Transport], Result]
    ) -> Result:
        """Do something over the connection, and over another one if it breaks off."""
        tries_left = _TRIES
        while True:
            transport = self._connected(deadline)
            tries_left -= 1
            try:
                return work(transport)
            except CONNECTION_ERRORS as error:
                # Its thread may need a moment to find out.
                transport.join(_LOOK_S)
                if transport.is_active() or self._closed or not tries_left:
                    raise self._failure(doing, error, deadline) from error

    def _connected(self, deadline: Deadline) -> paramiko.Transport:
        """The connection, made again if it has broken off."""
        while not self._connecting.acquire(timeout=_LOOK_S):
            deadline.check()
        try:
            deadline.check()
            if not self._transport.is_active() and not self._closed:
                limit = deadline.exactly(f"{self.local_name} to be reached again", self.patience_s)
                self._transport = connect(self._access, limit)
                self._sftp = None
                if self._closed:
                    self._transport.close()
            return self._transport
        finally:
            self._connecting.release()

    def _files(self, transport: paramiko.Transport, deadline: Deadline) -> paramiko.SFTPClient:
        if self._sftp is None:
            self._sftp = self._open_sftp(transport, deadline)
        if (channel := self._sftp.get_channel()) is not None:
            channel.settimeout(deadline.remaining_s)
        return self._sftp

    def _open_sftp(self, transport: paramiko.Transport, deadline: Deadline) -> paramiko.SFTPClient:
        channel = self._session(transport, deadline)
        try:
            with deadline.ending(partial(shut, channel)):
                channel.invoke_subsystem("sftp")
                return paramiko.SFTPClient(channel)
        except CONNECTION_ERRORS as error:
            shut(channel)
            deadline.check()
            if not transport.is_active():
                raise
            raise InfrastructureError(
                f"{self.local_name} offers no SFTP",
                hint="install openssh-sftp-server in the host's image",
            ) from error

    def _drop_files(self) -> None:
        """End the SFTP session, which wakes who waits in it; the next use starts a new one."""
        files, self._sftp = self._sftp, None
        if files is not None:
            shut(files)

    def _failure(self, doing: str, error: BaseException, deadline: Deadline) -> Exception:
        """What a failed transfer means: a cancel, a deadline, or the link's failure."""
        deadline.check()
        return InfrastructureError(f"{doing} over {self.local_name} failed: {error or 'closed'}")


def _write_surely(target: paramiko.SFTPFile, position: int, byte: bytes) -> None:
    """Write a byte, if there is one, again: that raises the errors of all writes before it."""
    if byte:
        target.set_pipelined(False)
        target.seek(position)
        target.write(byte)


def dial(address: Address, key: Identity, deadline: Deadline) -> SshLink:
    """Connect to a host; see `connect`."""
    access = Access(address=address, key=key)
    return SshLink(connect(access, deadline), access)
