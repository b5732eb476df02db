# SPDX-License-Identifier: MIT
"""SSH and SFTP to the host, by paramiko: commands, byte streams and files.

Commands are lists of words here and are quoted once, where they are sent.  The host's key is
always known beforehand (it is read over the serial console) and a different one is refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from lava_vmgroup.connections.ssh_channels import ChannelStream, LineChannel
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.connections.stream import CHUNK
from lava_vmgroup.connections.tcp import connect
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import ConfigurationError, InfrastructureError
from lava_vmgroup.sparse import data_blocks
from lava_vmgroup.vanished_peer import notice_vanished_peer

BLOCK = 131072
"""Bytes per SFTP write; OpenSSH takes up to 256 KiB, and with this a slow host was quickest."""

_RETRY_S = 0.2
_SSH_PORT = 22
_COLUMNS = 1024
"""A terminal's width; shells break the echo of longer lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where and as whom to reach the host."""

    host: str
    port: int
    username: str
    host_keys: tuple[tuple[str, str], ...]
    """The accepted keys of the host as (type, base64) pairs; any other is refused."""
    patience_s: int = 30
    """How many seconds the host may be silent before it is given up, and gives us up."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command on the host printed (both its streams) and how it ended."""

    status: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A way into a host: where it is, and the key that it accepts."""

    address: Address
    key: Identity


def known_host_keys(known_hosts: Path, host: str, port: int) -> tuple[tuple[str, str], ...]:
    """The keys of a host in a file like ``~/.ssh/known_hosts``.

    Raises `ConfigurationError` when the file cannot be read or does not have the host.
    """
    name = host if port == _SSH_PORT else f"[{host}]:{port}"
    try:
        entry = paramiko.HostKeys(str(known_hosts)).lookup(name)
    except (OSError, paramiko.SSHException) as error:
        raise ConfigurationError(
            f"cannot read the SSH host keys in {known_hosts}: {error}",
            hint="set ssh_known_hosts to a file like ~/.ssh/known_hosts",
        ) from error
    if not entry:
        raise ConfigurationError(
            f"{known_hosts} has no key of {name}",
            hint=f"add the output of: ssh-keyscan -p {port} {host} "
            "(compare it with the host's /etc/ssh/ssh_host_*_key.pub first)",
        )
    return tuple((kind, key.get_base64()) for kind, key in entry.items())


class SshLink:
    """One SSH connection to the host, for one thread."""

    def __init__(self, transport: paramiko.Transport, address: Address) -> None:
        self._transport = transport
        self._address = address
        self._sftp: paramiko.SFTPClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def local_name(self) -> str:
        """What the link connects to, for messages."""
        return f"{self._address.username}@{self._address.host}:{self._address.port}"

    def close(self) -> None:
        """Close the connection and all its channels; from any thread."""
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
            with deadline.waking(channel.close):
                channel.set_combine_stderr(True)
                channel.settimeout(deadline.remaining_s)
                channel.exec_command(shlex.join(argv))
                for piece in [stdin] if isinstance(stdin, bytes) else stdin:
                    channel.sendall(piece)
                channel.shutdown_write()
                output = b"".join(iter(lambda: channel.recv(CHUNK), b""))
                if not channel.status_event.wait(deadline.remaining_s):
                    raise deadline.error()
                deadline.check()
                return CommandResult(channel.exit_status, output.decode(errors="replace"))
        except TimeoutError as error:
            raise deadline.error() from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure(f"running {argv[0]}", error, deadline) from error
        finally:
            channel.close()

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
            raise InfrastructureError(
                f"on the host, {shlex.join(argv)[:200]!r} ended with status {result.status}",
                last_lines=result.output.splitlines()[-20:],
            )
        return result.output

    @contextmanager
    def holding(self, argv: Sequence[str], deadline: Deadline) -> Iterator[str]:
        """Start a command, and end its input when the context ends; gives its first words.

        For a command that says what it has got and keeps it until its input ends.
        """
        channel = self._open_channel(deadline)
        try:
            with deadline.waking(channel.close):
                channel.settimeout(max(deadline.remaining_s, 0.001))
                channel.exec_command(shlex.join(argv))
                said = channel.recv(CHUNK)
            deadline.check()
            yield said.decode(errors="replace").strip()
        except TimeoutError as error:
            raise deadline.error() from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure(f"running {argv[0]}", error, deadline) from error
        finally:
            channel.close()

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
        try:
            return self._files(deadline).stat(remote).st_size
        except FileNotFoundError:
            return None
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure(f"looking at {remote}", error, deadline) from error

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
        sent = 0
        try:
            with (
                local.open("rb") as source,
                self._files(deadline).open(remote, "wb") as target,
                deadline.waking(self._drop_files),
            ):
                target.set_pipelined(True)
                for position, block in data_blocks(source, BLOCK):
                    deadline.check()
                    target.seek(position)
                    target.write(block)
                    sent += len(block)
                    if progress is not None:
                        progress(position + len(block))
                target.flush()
                target.truncate(local.stat().st_size)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure(f"copying {local.name} to {remote}", error, deadline) from error
        return sent

    def put_bytes(self, data: bytes, remote: str, deadline: Deadline) -> None:
        """Write a small file on the host, over what is there; its length never shrinks."""
        try:
            with (
                self._files(deadline).open(remote, "r+b") as target,
                deadline.waking(self._drop_files),
            ):
                target.set_pipelined(True)
                target.write(data)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure(f"writing {remote}", error, deadline) from error

    def get_bytes(self, remote: str, size: int, deadline: Deadline) -> bytes:
        """The first `size` bytes of a file on the host, fewer when it is shorter."""
        try:
            with (
                self._files(deadline).open(remote, "rb") as source,
                deadline.waking(self._drop_files),
            ):
                source.prefetch(size)
                return source.read(size)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure(f"reading {remote}", error, deadline) from error

    def rename(self, old: str, new: str, deadline: Deadline) -> None:
        """Rename a file on the host over whatever has the new name."""
        try:
            self._files(deadline).posix_rename(old, new)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure(f"renaming {old}", error, deadline) from error

    def _started(
        self, argv: Sequence[str], deadline: Deadline, *, terminal: bool
    ) -> paramiko.Channel:
        channel = self._open_channel(deadline)
        try:
            if terminal:
                channel.get_pty(term="dumb", width=_COLUMNS, height=24)
            with deadline.waking(channel.close):
                channel.exec_command(shlex.join(argv))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure(f"starting {argv[0]}", error, deadline) from error
        return channel

    def _open_channel(self, deadline: Deadline) -> paramiko.Channel:
        deadline.check()
        try:
            return self._transport.open_session(timeout=deadline.remaining_s)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._failure("opening a channel", error, deadline) from error

    def _files(self, deadline: Deadline) -> paramiko.SFTPClient:
        deadline.check()
        if self._sftp is None:
            self._sftp = self._open_sftp(deadline)
        if (channel := self._sftp.get_channel()) is not None:
            channel.settimeout(deadline.remaining_s)
        return self._sftp

    def _open_sftp(self, deadline: Deadline) -> paramiko.SFTPClient:
        try:
            files = paramiko.SFTPClient.from_transport(self._transport)
        except (OSError, EOFError, paramiko.SSHException) as error:
            if not self._transport.is_active():
                raise self._failure("opening SFTP", error, deadline) from error
            files = None
        if files is None:
            raise InfrastructureError(
                f"{self.local_name} offers no SFTP",
                hint="install openssh-sftp-server in the host's image",
            )
        return files

    def _drop_files(self) -> None:
        """End the SFTP session, which wakes who waits in it; the next use starts a new one."""
        files, self._sftp = self._sftp, None
        if files is not None:
            files.close()

    def _failure(self, doing: str, error: BaseException, deadline: Deadline) -> Exception:
        """What a failed transfer means: a cancel, a deadline, or the link's failure."""
        deadline.check()
        return InfrastructureError(f"{doing} over {self.local_name} failed: {error or 'closed'}")


def dial(address: Address, key: Identity, deadline: Deadline) -> SshLink:
    """Connect and log in with a key.

    A host that has just booted may not listen yet, so a refused connection is tried again until
    the deadline; a wrong host key or a refused login is not.
    """
    while True:
        try:
            return SshLink(_connect(address, key, deadline), address)
        except (paramiko.AuthenticationException, IncompatiblePeer) as error:
            deadline.check()
            raise InfrastructureError(
                f"the host at {address.host}:{address.port} refused the login: {error}"
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            deadline.check()
            if deadline.remaining_s < _RETRY_S:
                raise InfrastructureError(
                    f"no SSH at {address.host}:{address.port}: {error or 'closed'}",
                    hint="is openssh-server installed in the host's image, and running?",
                ) from error
            deadline.pause(_RETRY_S)


def _connect(address: Address, key: Identity, deadline: Deadline) -> paramiko.Transport:
    connection = connect(address.host, address.port, deadline)
    # Later than the heartbeat, which knows what to say.
    notice_vanished_peer(connection, 2 * address.patience_s)
    try:
        transport = paramiko.Transport(connection)
    except BaseException:
        connection.close()
        raise
    try:
        with deadline.waking(transport.close):
            transport.start_client(timeout=deadline.remaining_s)
            _check_host_key(transport, address)
            transport.auth_publickey(address.username, key.private)
    except BaseException:
        transport.close()
        raise
    return transport


def _check_host_key(transport: paramiko.Transport, address: Address) -> None:
    offered = transport.get_remote_server_key()
    if (offered.get_name(), offered.get_base64()) not in address.host_keys:
        raise InfrastructureError(
            f"{address.host}:{address.port} shows an SSH host key that is not the board's",
            hint="do ssh_host and ssh_port lead to this board, and is ssh_known_hosts up to date?",
        )
