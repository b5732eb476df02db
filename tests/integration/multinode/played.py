# SPDX-License-Identifier: MIT
"""A coordinator that a test plays itself, on a listening socket."""

from __future__ import annotations

import socket
from typing import Any

from lava_vmgroup.multinode.frames import FrameDecoder


def take(listener: socket.socket) -> tuple[socket.socket, Any]:
    """Accept one client; its connection and its request."""
    connection, _ = listener.accept()
    connection.settimeout(60)
    decoder = FrameDecoder(1 << 16)
    while not decoder.feed(connection.recv(100)):
        pass
    return connection, decoder.value


def serve(listener: socket.socket, answer: bytes) -> Any:
    """Answer one client with `answer`; its request."""
    connection, request = take(listener)
    with connection:
        connection.sendall(answer)
    return request
