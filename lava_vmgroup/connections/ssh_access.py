# SPDX-License-Identifier: MIT
"""Connections to a host by SSH: its address, the job's keys, and the host's own keys.

The host's key is always known beforehand: it is read on the serial console, or kept by the lab.  A
host that shows another key is refused.
"""

from __future__ import annotations

import logging
import select
import socket
from contextlib import suppress
from dataclasses import dataclass

import paramiko
from paramiko.ssh_exception import BadAuthenticationType, IncompatiblePeer

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections import tcp
from lava_vmgroup.connections.known_hosts import HostKey
from lava_vmgroup.connections.ssh_channels import CONNECTION_ERRORS
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.connections.vanished_peer import notice_vanished_peer

# Without a handler, Python prints paramiko's messages on stderr; the errors here cover them.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_RETRY_S = 0.2
_GREETING_S = 15.0
_GREETING_BYTES = 16384
_SHOWN_BYTES = 200
DEFAULT_KEYS_FILE = "~/.ssh/authorized_keys"
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""Algorithms of the key types whose algorithms have other names than the type."""
_NOT_LISTENING = "is openssh-server installed in the host's image, and running?"
_TURNED_AWAY = (
    "its SSH server turns connections away: see MaxStartups and PerSourcePenalties in sshd_config "
    "there, /etc/hosts.deny, and sshd's own log"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The address of a host, the user to log in as, and the host's keys."""

    host: str
    port: int
    username: str
    host_keys: tuple[HostKey, ...]
    """The accepted keys of the host; any other is refused."""
    revoked_keys: tuple[HostKey, ...] = ()
    """Keys that are refused because they are revoked."""
    patience_s: int = 30
    """Seconds of silence after which the dispatcher gives up the host, and vice versa."""

    @property
    def link_patience_s(self) -> int:
        """Seconds of silence after which a connection breaks off.

        The heartbeat's limit is shorter, as its error has the better message.
        """
        return 2 * self.patience_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A host's address, and the keys to log in with, of which the host accepts one."""

    address: Address
    key: Identity
    keys_file: str = DEFAULT_KEYS_FILE
    """The file on the host that lists the keys that it accepts; ``~`` is the user's home."""
    why_refused: str = ""
    """The likely reason if the host refuses a login by key, "" if none is known."""


class _TurnedAway(OSError):
    """The error for a server that accepts a connection and sends no SSH greeting."""


def connect(access: Access, deadline: Deadline) -> paramiko.Transport:
    """Connect to a host, log in with a key, and return the connection.

    If the server cannot be reached, tries again until the deadline, as a host that has just booted
    may not listen yet.  Raises `InfrastructureError` at once for a wrong host key or a refused
    login, and at the deadline if no SSH server answered, and the errors of `Deadline.check`.
    """
    address = access.address
    keys = list(access.key.privates)
    while True:
        try:
            return _connect(address, keys, deadline)
        except paramiko.AuthenticationException as error:
            deadline.check()
            raise _refused_login(access, error) from error
        except IncompatiblePeer as error:
            deadline.check()
            raise InfrastructureError(
                f"the SSH server at {address.host}:{address.port} is too old or too strict: {error}"
            ) from error
        except CONNECTION_ERRORS as error:
            deadline.check()
            if deadline.remaining_s < 2 * _RETRY_S:
                raise InfrastructureError(
                    f"no SSH at {address.host}:{address.port}: {error or 'closed'}",
                    hint=_TURNED_AWAY if isinstance(error, _TurnedAway) else _NOT_LISTENING,
                ) from error
            deadline.pause(_RETRY_S)


def knock(host: str, port: int, deadline: Deadline) -> None:
    """Connect to an SSH server and disconnect; ignore a server that does not answer.

    Some servers make their keys at the first connection.
    """
    with suppress(InfrastructureError, *CONNECTION_ERRORS):
        _greeted(host, port, (), deadline).close()


def _connect(address: Address, keys: list[paramiko.PKey], deadline: Deadline) -> paramiko.Transport:
    """Connect and log in; remove keys that the host refuses from `keys`."""
    types = tuple(kind for kind, _ in address.host_keys)
    transport = _greeted(address.host, address.port, types, deadline, address.link_patience_s)
    try:
        with deadline.waking(transport.close):
            _check_host_key(transport, address)
            _log_in(transport, address, keys)
    except BaseException:
        transport.close()
        raise
    return transport


def _greeted(
    host: str, port: int, types: tuple[str, ...], deadline: Deadline, patience_s: int = 30
) -> paramiko.Transport:
    """Return a connection to a server that has proved its key, of one of `types` if it has one.

    `patience_s` is the number of seconds for which the server may be silent.
    """
    connection = tcp.connect(host, port, deadline)
    try:
        notice_vanished_peer(connection, patience_s)
        _await_greeting(connection, deadline)
        transport = paramiko.Transport(connection)
    except BaseException:
        connection.close()
        raise
    try:
        with deadline.waking(transport.close):
            _prefer(transport, types)
            transport.start_client(timeout=deadline.remaining_s)
    except BaseException:
        transport.close()
        raise
    return transport


def _await_greeting(connection: socket.socket, deadline: Deadline) -> None:
    """Block until the server sends its greeting, and leave it unread.

    Other lines may come before it (RFC 4253, section 4.2).  Raises `_TurnedAway` if the server
    sends nothing else or ends the connection, and `TimeoutError` if nothing comes in time.
    """
    waiting = select.poll()
    waiting.register(connection, select.POLLIN | select.POLLRDHUP)
    limit = deadline.exactly("the SSH server's greeting", _GREETING_S)
    said = b""
    while b"SSH-" not in said:
        deadline.check()
        if limit.expired and not said:
            raise TimeoutError("it does not greet")
        state = dict(waiting.poll(_RETRY_S * 1000)).get(connection.fileno(), 0)
        if state:
            said = connection.recv(_GREETING_BYTES, socket.MSG_PEEK)
        if b"SSH-" in said:
            return
        if state & (select.POLLRDHUP | select.POLLHUP | select.POLLERR) or limit.expired:
            words = f"it says {said[:_SHOWN_BYTES].decode(errors='replace').strip()!r}"
            raise _TurnedAway(words if said else "it ends the connection")
        if said:
            deadline.pause(_RETRY_S)  # the poll does not wait while something is unread


def _prefer(transport: paramiko.Transport, types: tuple[str, ...]) -> None:
    """Ask first for a key of a known type: the server may have keys of other types, too."""
    options = transport.get_security_options()
    known = [name for kind in types for name in _ALGORITHMS.get(kind, (kind,))]
    offered = list(options.key_types)
    options.key_types = sorted(offered, key=lambda name: (name not in known, offered.index(name)))


def _log_in(transport: paramiko.Transport, address: Address, keys: list[paramiko.PKey]) -> None:
    # Try all keys over one connection: servers penalize connections that end without a login.
    while True:
        try:
            wanted = transport.auth_publickey(address.username, keys[0])
        except BadAuthenticationType:
            raise
        except paramiko.AuthenticationException:
            if len(keys) == 1:
                raise
            del keys[0]
        else:
            break
    if wanted:
        raise BadAuthenticationType("a key is not enough", wanted)


def _refused_login(access: Access, error: paramiko.AuthenticationException) -> InfrastructureError:
    address = access.address
    place = f"the host at {address.host}:{address.port} refused the login"
    if isinstance(error, BadAuthenticationType):
        ways = ", ".join(error.allowed_types)
        return InfrastructureError(
            f"{place} of {address.username!r} by key alone; it wants: {ways}",
            hint=access.why_refused
            or "see PubkeyAuthentication and AuthenticationMethods in sshd_config there",
        )
    return InfrastructureError(
        f"{place} of {address.username!r}: {error}",
        hint=access.why_refused
        or "is the key in the user's authorized_keys, where AuthorizedKeysFile says and nobody "
        "else may write (StrictModes)? See also PermitRootLogin, AllowUsers and "
        "PubkeyAcceptedAlgorithms in sshd_config there, and sshd's own log",
    )


def _check_host_key(transport: paramiko.Transport, address: Address) -> None:
    offered = transport.get_remote_server_key()
    key = (offered.get_name(), offered.get_base64())
    place = f"{address.host}:{address.port}"
    if key in address.revoked_keys:
        raise InfrastructureError(
            f"{place} shows an SSH host key that is revoked: {offered.fingerprint}",
            hint="give the host new keys; ssh_known_hosts has the line with @revoked",
        )
    if key not in address.host_keys:
        raise InfrastructureError(
            f"{place} shows an SSH host key that is not the board's: "
            f"{key[0]} {offered.fingerprint}",
            hint="do ssh_host and ssh_port lead to this board, and is ssh_known_hosts up to date?",
        )
