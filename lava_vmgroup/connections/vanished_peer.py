# SPDX-License-Identifier: MIT
"""TCP connections that break off when the machine at their other end is gone."""

from __future__ import annotations

import socket

_PROBES = 3
_LONGEST_S = 32767
"""The kernel's limit for these options (MAX_TCP_KEEPIDLE)."""


def notice_vanished_peer(connection: socket.socket, silence_s: int) -> None:
    """Make `connection` break off when the other machine is silent for `silence_s` seconds."""
    silence_s = min(silence_s, _LONGEST_S)
    interval_s = max(1, silence_s // (_PROBES + 2))
    options = {
        socket.TCP_KEEPIDLE: max(1, silence_s - _PROBES * interval_s),
        socket.TCP_KEEPINTVL: interval_s,
        socket.TCP_KEEPCNT: _PROBES,
        socket.TCP_USER_TIMEOUT: silence_s * 1000,
    }
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in options.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
