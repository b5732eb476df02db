# SPDX-License-Identifier: MIT
"""SSH and SFTP to the host, by paramiko: commands, byte streams and files.

Commands are lists of words here and are quoted once, where they are sent (`ssh_commands`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import paramiko

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, LinkLost
from lava_vmgroup.base.sparse import data_blocks
from lava_vmgroup.connections import ssh_commands
from lava_vmgroup.connections.ssh_access import Access, Address, connect
from lava_vmgroup.connections.ssh_channels import (
    CONNECTION_ERRORS,
    ChannelStream,
    LineChannel,
    broke_off,
    send,
    shut,
)
from lava_vmgroup.connections.ssh_connections import TRIES, Connections, has_ended
from lava_vmgroup.connections.ssh_files import FILE_ERRORS, open_sftp
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.connections.stream import CHUNK

BLOCK = 131072
"""Bytes per SFTP write; OpenSSH takes up to 256 KiB, and with this a slow host was quickest."""

MAX_OUTPUT = 16 << 20
"""Bytes that a command on the host may print: what it prints is held in memory."""

_SHELL_S = 30.0
"""Seconds for a login shell to read its start-up files and begin with a command."""

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
        self._connections = Connections(transport, access)
        self._sftp: paramiko.SFTPClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def patience_s(self) -> int:
        """How long the host may be out of reach for what needs it."""
        return self._connections.patience_s

    def close(self) -> None:
        """Close the connection and all its channels for good; from any thread."""
        self._connections.close()

    def check_shell(self, deadline: Deadline) -> None:
        """Raise `InfrastructureError`, with the reason, for a host that runs no commands."""
        limit = deadline.sub("the host's login shell to run a command", _SHELL_S)
        try:
            self.run(["true"], limit)
        except DeadlineExpired as error:
            deadline.check()
            raise ssh_commands.not_in_time(self._connections.name, limit) from error

    def run(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        stdin: bytes | Iterable[bytes] = b"",
    ) -> CommandResult:
        """Run a command, feed it `stdin` (perhaps piece by piece), and wait for its end."""
        channel = self._started(argv, deadline, merge=True)
        try:
            with deadline.ending(partial(shut, channel)):
                _feed(channel, [stdin] if isinstance(stdin, bytes) else stdin)
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
        return _begun_again(lambda: self.run(argv, deadline))

    def _lost(self, program: str) -> LinkLost:
        return LinkLost(f"{self._connections.name} broke off while {program} ran there")

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
        channel = self._started(argv, deadline)
        try:
            with deadline.ending(partial(shut, channel)):
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

    def open_stream_again(self, argv: Sequence[str], deadline: Deadline) -> ChannelStream:
        """Open a stream of a command that may be started twice, see `run_again`."""
        return _begun_again(lambda: self.open_stream(argv, deadline))

    def open_lines(self, argv: Sequence[str], deadline: Deadline) -> LineChannel:
        """Start a command that answers line by line; the channel may be another thread's."""
        return LineChannel(self._started(argv, deadline))

    def peer_ip(self) -> str:
        """The IP address of the host."""
        return self._connections.peer_ip

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
        self,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        terminal: bool = False,
        merge: bool = False,
    ) -> paramiko.Channel:
        """Start a command in a channel of its own; with `merge` its output has its errors, too."""
        request = partial(ssh_commands.request, argv=argv, merge=merge, terminal=terminal)
        try:
            channel = self._connections.session(deadline, request)
            ssh_commands.await_begin(channel, deadline)
        except CONNECTION_ERRORS as error:
            raise self._failure(f"starting {argv[0]}", error, deadline) from error
        return channel

    def _on_files(
        self, doing: str, deadline: Deadline, work: Callable[[paramiko.SFTPClient], Result]
    ) -> Result:
        """Do something with the host's files, again from its beginning if the link breaks off."""
        tries_left = TRIES
        while True:
            tries_left -= 1
            try:
                with deadline.ending(self._drop_files):
                    return work(self._files(deadline))
            except (*FILE_ERRORS, LinkLost) as error:
                if not tries_left or not self._files_broke_off():
                    raise self._failure(doing, error, deadline) from error

    def _files(self, deadline: Deadline) -> paramiko.SFTPClient:
        if self._sftp is None:
            self._sftp = open_sftp(self._connections, deadline)
        if (channel := self._sftp.get_channel()) is not None:
            channel.settimeout(deadline.remaining_s)
        return self._sftp

    def _files_broke_off(self) -> bool:
        """Return whether the SFTP session ended with its connection; if so, forget it."""
        channel = None if self._sftp is None else self._sftp.get_channel()
        if channel is not None and not has_ended(channel.get_transport()):
            return False
        self._sftp = None
        return True

    def _drop_files(self) -> None:
        """End the SFTP session, which wakes who waits in it; the next use starts a new one."""
        files, self._sftp = self._sftp, None
        if files is not None:
            shut(files)

    def _failure(self, doing: str, error: BaseException, deadline: Deadline) -> Exception:
        return self._connections.failure(doing, error, deadline)


def _write_surely(target: paramiko.SFTPFile, position: int, byte: bytes) -> None:
    """Write a byte, if there is one, again: that raises the errors of all writes before it."""
    if byte:
        target.set_pipelined(False)
        target.seek(position)
        target.write(byte)


def dial(address: Address, key: Identity, deadline: Deadline) -> SshLink:
    """Connect to a host, see `connect`, and find out whether it runs commands."""
    access = Access(address=address, key=key)
    link = SshLink(connect(access, deadline), access)
    try:
        link.check_shell(deadline)
    except BaseException:
        link.close()
        raise
    return link


def _begun_again(work: Callable[[], Result]) -> Result:
    for _ in range(TRIES - 1):
        with suppress(LinkLost):
            return work()
    return work()


def _feed(channel: paramiko.Channel, pieces: Iterable[bytes]) -> None:
    """Send a command's input.  A command that has ended takes no more; see its status."""
    for piece in pieces:
        try:
            send(channel, piece)
        except OSError:
            return
    with suppress(OSError):
        channel.shutdown_write()
