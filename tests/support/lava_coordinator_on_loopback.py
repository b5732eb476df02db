# SPDX-License-Identifier: MIT
"""Runs Debian's lava-coordinator so that only this machine can reach it.

The program listens on every interface whatever its configuration says.  Here its own code runs
unchanged, on sockets that bind to loopback instead, and the first line on stdout is the port.
Arguments: the program's path, then the program's own arguments.
"""

from __future__ import annotations

import runpy
import socket
import sys
from typing import Any


class LoopbackSocket(socket.socket):
    """A socket that cannot listen to other machines."""

    def bind(self, address: Any) -> None:
        """Bind to loopback, at the port of `address`."""
        super().bind(("127.0.0.1", address[1]))

    def listen(self, backlog: int = 0, /) -> None:
        """Listen, and say where."""
        super().listen(backlog)
        sys.stdout.write(f"{self.getsockname()[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    socket.socket = LoopbackSocket  # type: ignore[misc]
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
