# SPDX-License-Identifier: MIT
"""TCP connections that a cancel can interrupt while they are made, and consoles over TCP."""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections.stream import FdStream

_LOOK_S = 0.1


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to `host`:`port` and return the socket; the name's look-up ignores `deadline`.

    Raises `InfrastructureError` for a name that does not exist, `OSError` if no address answers,
    and the errors of `Deadline.check`.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        if isinstance(error, socket.gaierror) and error.errno != socket.EAI_NONAME:
            raise
        raise InfrastructureError(
            f"there is no host {host!r}", hint="is its name right, and known to the dispatcher?"
        ) from error
    refusal = OSError("no address")
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            _finish(connection, address, deadline)
        except OSError as error:
            connection.close()
            refusal = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise refusal


def open_tcp(host: str, port: int, deadline: Deadline) -> FdStream:
    """Connect to the console at `host`:`port`; raise `InfrastructureError` if that fails."""
    try:
        return FdStream(connect(host, port, deadline).detach())
    except OSError as error:
        raise InfrastructureError(
            f"cannot connect to the console at {host}:{port}: {error.strerror or error}"
        ) from error


def _finish(connection: socket.socket, address: Any, deadline: Deadline) -> None:
    """Wait until the socket is connected; its later operations time out at the deadline."""
    connection.setblocking(False)
    error = connection.connect_ex(address)
    if error == errno.EINPROGRESS:
        waiting = select.poll()
        waiting.register(connection, select.POLLOUT)
        while not waiting.poll(_LOOK_S * 1000):
            deadline.check()
        error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    connection.settimeout(max(deadline.remaining_s, 0.001))
