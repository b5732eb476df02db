# SPDX-License-Identifier: MIT
"""Who and where a host is, and the way in: a key that it accepts, and its keys that we know.

The host's key is always known beforehand (it is read over the serial console, or kept by the lab)
and a different one is refused.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from lava_vmgroup.connections import tcp
from lava_vmgroup.connections.ssh_channels import CONNECTION_ERRORS
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import ConfigurationError, InfrastructureError
from lava_vmgroup.vanished_peer import notice_vanished_peer

# What it has to say comes as errors of ours.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_RETRY_S = 0.2
_SSH_PORT = 22


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

    @property
    def link_patience_s(self) -> int:
        """The same for a connection: later than the heartbeat, which knows what to say."""
        return 2 * self.patience_s


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


def connect(access: Access, deadline: Deadline) -> paramiko.Transport:
    """Connect and log in with a key.

    A host that has just booted may not listen yet, so a refused connection is tried again until
    the deadline; a wrong host key or a refused login is not.
    """
    address = access.address
    while True:
        try:
            return _connect(address, access.key, deadline)
        except (paramiko.AuthenticationException, IncompatiblePeer) as error:
            deadline.check()
            raise InfrastructureError(
                f"the host at {address.host}:{address.port} refused the login: {error}"
            ) from error
        except CONNECTION_ERRORS as error:
            deadline.check()
            if deadline.remaining_s < _RETRY_S:
                raise InfrastructureError(
                    f"no SSH at {address.host}:{address.port}: {error or 'closed'}",
                    hint="is openssh-server installed in the host's image, and running?",
                ) from error
            deadline.pause(_RETRY_S)


def _connect(address: Address, key: Identity, deadline: Deadline) -> paramiko.Transport:
    connection = tcp.connect(address.host, address.port, deadline)
    notice_vanished_peer(connection, address.link_patience_s)
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
