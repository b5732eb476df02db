# SPDX-License-Identifier: MIT
"""Requests of a group's members as they go over a connection."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any

from lava_vmgroup.multinode.frames import encode_frame

if TYPE_CHECKING:
    pass

ACK = b'00000013{"response": "ack"}'
NACK = b'00000014{"response": "nack"}'
WAIT = b'00000014{"response": "wait"}'


def request(client: str, command: str, **fields: Any) -> dict[str, Any]:
    return {
        "request": command,
        "client_name": client,
        "group_name": "group",
        "group_size": 2,
        "hostname": "dispatcher",
        "role": "tester",
        **fields,
    }


def frame(client: str, command: str, **fields: Any) -> bytes:
    return encode_frame(request(client, command, **fields))


def silent(connection: socket.socket) -> bool:
    """Return True if neither an answer nor the end has come."""
    return not select.select([connection], [], [], 0)[0]
