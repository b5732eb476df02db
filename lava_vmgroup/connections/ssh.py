# SPDX-License-Identifier: MIT
"""SSH and SFTP to the host, by paramiko: commands, byte streams and files.

Commands are lists of words here; `ssh_commands` quotes them once, when it sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import paramiko

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, LinkLost
from lava_vmgroup.base.sparse import data_blocks
from lava_vmgroup.connections import ssh_commands
from lava_vmgroup.connections.link import TRIES, CommandResult, Link, Result
from lava_vmgroup.connections.ssh_access import Access, Address, connect
from lava_vmgroup.connections.ssh_channels import (
    CONNECTION_ERRORS,
    ChannelStream,
    SshLines,
    broke_off,
    send,
    shut,
)
from lava_vmgroup.connections.ssh_connections import Connections, has_ended
from lava_vmgroup.connections.ssh_files import FILE_ERRORS, open_sftp
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.connections.stream import CHUNK

BLOCK = 131072
"""Bytes per SFTP write; OpenSSH accepts up to 256 KiB, and a slow host was fastest with this."""

MAX_OUTPUT = 16 << 20
"""Limit of bytes that a command on the host may print; they are held in memory."""

_SHELL_S = 30.0
"""Seconds for a login shell to read its start-up files and start a command."""


class SshLink(Link):
    """A link over SSH: connections with sessions, and one session of SFTP."""

    def __init__(self, transport: paramiko.Transport, access: Access) -> None:
        self._connections = Connections(transport, access)
        self._sftp: paramiko.SFTPClient | None = None

    @property
    def patience_s(self) -> int:
        """See `Link.patience_s`."""
        return self._connections.patience_s

    def close(self) -> None:
        """See `Link.close`."""
        self._connections.close()

    def check_shell(self, deadline: Deadline) -> None:
        """Raise `InfrastructureError`, with the reason, if the host does not run commands."""
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
        """See `Link.run`.  A command may print `MAX_OUTPUT` bytes."""
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

    def _lost(self, program: str) -> LinkLost:
        return LinkLost(f"{self._connections.name} broke off while {program} ran there")

    def _output_of(self, channel: paramiko.Channel, program: str) -> bytes:
        output = bytearray()
        while chunk := channel.recv(CHUNK):
            output += chunk
            if len(output) > MAX_OUTPUT:
                raise InfrastructureError(f"{program} on the host says more than it may")
        return bytes(output)

    @contextmanager
    def holding(self, argv: Sequence[str], deadline: Deadline) -> Iterator[str]:
        """See `Link.holding`."""
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
        """See `Link.open_stream`."""
        return ChannelStream(self._started(argv, deadline, terminal=terminal))

    def open_lines(self, argv: Sequence[str], deadline: Deadline) -> SshLines:
        """See `Link.open_lines`."""
        return SshLines(self._started(argv, deadline))

    @property
    def peer_ip(self) -> str:
        """See `Link.peer_ip`."""
        return self._connections.peer_ip

    def size_of(self, remote: str, deadline: Deadline) -> int | None:
        """See `Link.size_of`."""

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
        """See `Link.put`."""

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
        """See `Link.put_bytes`."""

        def write(files: paramiko.SFTPClient) -> None:
            with files.open(remote, "r+b") as target:
                target.set_pipelined(True)
                target.write(data)
                _write_surely(target, len(data) - 1, data[-1:])

        self._on_files(f"writing {remote}", deadline, write)

    def get_bytes(self, remote: str, size: int, deadline: Deadline) -> bytes:
        """See `Link.get_bytes`."""

        def read(files: paramiko.SFTPClient) -> bytes:
            with files.open(remote, "rb") as source:
                source.prefetch(size)
                return source.read(size)

        return self._on_files(f"reading {remote}", deadline, read)

    def _started(
        self,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        terminal: bool = False,
        merge: bool = False,
    ) -> paramiko.Channel:
        """Start a command in a new channel; `merge` sends its standard error to its output."""
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
        """Call `work` with the SFTP session; if that breaks off, call it again with a new one."""
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
        """End the SFTP session and wake the thread that waits in it; the next use starts one."""
        files, self._sftp = self._sftp, None
        if files is not None:
            shut(files)

    def _failure(self, doing: str, error: BaseException, deadline: Deadline) -> Exception:
        return self._connections.failure(doing, error, deadline)


def _write_surely(target: paramiko.SFTPFile, position: int, byte: bytes) -> None:
    """Write `byte`, if it is not empty, at `position` again, and wait for the answer.

    The answer raises the errors of all pipelined writes before it.
    """
    if byte:
        target.set_pipelined(False)
        target.seek(position)
        target.write(byte)


def dial(address: Address, key: Identity, deadline: Deadline) -> Link:
    """Connect to a host and check that it runs commands; see `connect` and `check_shell`."""
    access = Access(address=address, key=key)
    link = SshLink(connect(access, deadline), access)
    try:
        link.check_shell(deadline)
    except BaseException:
        link.close()
        raise
    return link


def _feed(channel: paramiko.Channel, pieces: Iterable[bytes]) -> None:
    """Send a command's input and close it; return early if the command has ended.

    The command's exit status then explains more than the failed send.
    """
    for piece in pieces:
        try:
            send(channel, piece)
        except OSError:
            return
    with suppress(OSError):
        channel.shutdown_write()
