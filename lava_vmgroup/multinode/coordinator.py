# SPDX-License-Identifier: MIT
"""A MultiNode coordinator in a thread of its own, for one job or for a whole lab."""

from __future__ import annotations

import errno
import queue
import resource
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.multinode.frames import REQUEST_LIMIT
from lava_vmgroup.multinode.groups import Groups
from lava_vmgroup.multinode.server import Limits, Server

LOOPBACK = ("127.0.0.1", 0)
BACKLOG = 4096
"""Connections that may wait to be accepted; the system may allow fewer."""
MOST_FILES = 1 << 18
"""Open files that a coordinator uses at most, even if the system allows more."""


class Coordinator:
    """A coordinator in a thread; it serves groups from ``__enter__`` to ``__exit__``."""

    def __init__(
        self,
        address: tuple[str, int] = LOOPBACK,
        *,
        token: str | None = None,
        limits: Limits | None = None,
        ended: queue.SimpleQueue[int | None] | None = None,
    ) -> None:
        """Prepare to listen at `address`; port 0 takes a free one.

        With a `token`, only clients that have it are served.  When the thread ends, it puts None
        into `ended`.
        """
        self.address = address
        """Host and port to connect to; entering replaces port 0 with the real one."""
        self._token = token
        self._limits = limits or usual_limits()
        self._ended = ended

    @property
    def endpoint(self) -> Endpoint:
        """Address and token of this coordinator, for its clients."""
        host, port = self.address
        return Endpoint(host=host, port=port, token=self._token)

    def __enter__(self) -> Self:
        """Listen and start the thread.  Raises `InfrastructureError` if it cannot listen."""
        listener = _listen(self.address)
        host, port = listener.getsockname()
        self.address = (host, port)
        self._stop, stopping = socket.socketpair()

        def serve() -> None:
            try:
                with listener, stopping:
                    Server(listener, stopping, Groups(self._token), self._limits).serve()
            finally:
                if self._ended is not None:
                    self._ended.put(None)

        self._thread = threading.Thread(target=serve, name="multinode-coordinator")
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection, also those that are held, and wait for the thread's end."""
        with suppress(OSError):
            self._stop.send(b"\0")
        self._thread.join()
        self._stop.close()


def usual_limits() -> Limits:
    """Return limits that leave half of the files that the process may open to its other parts."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        files = MOST_FILES
    return Limits(request_bytes=REQUEST_LIMIT, connections=min(files, MOST_FILES) // 2)


def _listen(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        host, port = address
        taken = error.errno == errno.EADDRINUSE
        raise InfrastructureError(
            f"the coordinator cannot listen on {host}:{port}: {error.strerror or error}",
            hint="another one may run there already; choose another port" if taken else None,
        ) from error
    listener.setblocking(False)
    return listener
