# SPDX-License-Identifier: MIT
"""A console that a serial server offers on a plain TCP port."""

from __future__ import annotations

import socket

from lava_vmgroup.connections.stream import FdStream
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError


def open_tcp(host: str, port: int, deadline: Deadline) -> FdStream:
    """Connect to `host`:`port`; raises `InfrastructureError` when nobody answers."""
    try:
        connection = socket.create_connection((host, port), timeout=deadline.remaining_s or 0.001)
    except TimeoutError as error:
        raise deadline.error() from error
    except OSError as error:
        raise InfrastructureError(
            f"cannot connect to the console at {host}:{port}: {error.strerror or error}"
        ) from error
    return FdStream(connection.detach())
