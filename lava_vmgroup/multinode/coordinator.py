# SPDX-License-Identifier: MIT
"""The embedded MultiNode coordinator: sockets around `lava_vmgroup.multinode.groups`.

One thread serves all connections without ever blocking on one.  A connection is receiving its
request, then, if its condition does not hold yet, held, then sending its reply; receiving and
sending have a time limit, being held has none.  Whatever a client does ends its own connection
at most.
"""

from __future__ import annotations

import enum
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.errors import InfrastructureError
from lava_vmgroup.log import NodeLog
from lava_vmgroup.multinode.groups import Groups
from lava_vmgroup.multinode.wire import (
    REQUEST_LIMIT,
    FrameDecoder,
    FrameError,
    Reply,
    Response,
    encode_frame,
    wants_hold,
)

LOOPBACK = ("127.0.0.1", 0)
CHUNK = 65536
CONNECTION_LIMIT = 512
"""Half of the usual limit of open files; more connections wait in the backlog."""
FULL_PAUSE_S = 0.1
"""How long to leave new connections alone when there is no room for one."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER's value for closing at once, with a reset."""


class _Phase(enum.Enum):
    RECEIVING = enum.auto()
    HELD = enum.auto()
    SENDING = enum.auto()


@dataclass(slots=True, kw_only=True, eq=False)
class _Connection:
    socket: socket.socket
    decoder: FrameDecoder
    expires_at: float
    """When the phase must be over; not looked at while held."""
    phase: _Phase = _Phase.RECEIVING
    outgoing: bytearray = field(default_factory=bytearray)


class Coordinator:
    """Serves groups from ``__enter__`` to ``__exit__``, in a thread of its own."""

    def __init__(
        self,
        address: tuple[str, int] = LOOPBACK,
        *,
        transfer_limit_s: float = 10.0,
        request_limit: int = REQUEST_LIMIT,
    ) -> None:
        """Receiving a request and sending a reply take `transfer_limit_s` each at most.

        `request_limit` is the longest request taken, in bytes.
        """
        self.address = address
        """Where to connect to; port 0 becomes a real one on entering."""
        self._transfer_limit_s = transfer_limit_s
        self._request_limit = request_limit
        self._groups = Groups()
        self._connections: set[_Connection] = set()
        self._paused_until: float | None = None
        self._log = NodeLog("coordinator")

    @property
    def endpoint(self) -> Endpoint:
        """What clients need to speak to this coordinator."""
        host, port = self.address
        return Endpoint(host=host, port=port)

    def __enter__(self) -> Self:
        """Listen and start serving; raises `InfrastructureError` if the address is not free."""
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(self.address)
            self._listener.listen()
        except OSError as error:
            self._listener.close()
            host, port = self.address
            raise InfrastructureError(
                f"the coordinator cannot listen on {host}:{port}: {error}"
            ) from error
        self._listener.setblocking(False)
        host, port = self._listener.getsockname()
        self.address = (host, port)
        self._stop, self._stopping = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stopping, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="multinode-coordinator")
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End every connection and the thread; held clients see theirs closed."""
        with suppress(OSError):
            self._stop.send(b"\0")
        self._thread.join()
        self._stop.close()

    def _serve(self) -> None:
        try:
            while True:
                ready = {
                    key.fileobj: key.data for key, _ in self._selector.select(self._patience())
                }
                if self._stopping in ready:
                    return
                for connection in ready.values():
                    if connection is not None:
                        self._proceed(connection)
                if self._listener in ready:
                    self._accept()
                self._end_overdue()
        finally:
            for connection in list(self._connections):
                self._end(connection)
            self._selector.close()
            self._listener.close()
            self._stopping.close()

    def _patience(self) -> float | None:
        """How long nothing has to be done unless something comes, in seconds."""
        moments = [item.expires_at for item in self._timed()]
        if self._paused_until is not None:
            moments.append(self._paused_until)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _timed(self) -> Iterable[_Connection]:
        return [item for item in self._connections if item.phase is not _Phase.HELD]

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for connection in self._timed():
            if now >= connection.expires_at:
                self._log.debug("multinode", "a client took too long, its connection is reset")
                # Without the reset, the system would keep what the client has not read.
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self._end(connection)
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _accept(self) -> None:
        try:
            if len(self._connections) >= CONNECTION_LIMIT:
                raise OSError(f"{CONNECTION_LIMIT} connections are open")
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client has gone again
        except OSError as error:
            # The listener stays ready, so it is put aside or the loop would spin.
            self._log.warning("multinode", f"no new connections for a moment: {error}")
            self._selector.unregister(self._listener)
            self._paused_until = time.monotonic() + FULL_PAUSE_S
            return
        accepted.setblocking(False)
        connection = _Connection(
            socket=accepted,
            decoder=FrameDecoder(self._request_limit),
            expires_at=time.monotonic() + self._transfer_limit_s,
        )
        self._connections.add(connection)
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _proceed(self, connection: _Connection) -> None:
        """Do what a ready socket allows; a fault of the client ends its connection."""
        try:
            if connection.phase is _Phase.SENDING:
                self._send(connection)
            else:
                self._receive(connection)
        except BlockingIOError:
            return
        except (OSError, FrameError) as error:
            self._log.debug("multinode", f"a client's connection is closed: {error}")
            self._end(connection)

    def _receive(self, connection: _Connection) -> None:
        chunk = connection.socket.recv(CHUNK)
        if not chunk:
            self._end(connection)
        elif connection.phase is _Phase.RECEIVING and connection.decoder.feed(chunk):
            self._handle(connection)

    def _handle(self, connection: _Connection) -> None:
        request = connection.decoder.value
        reply = self._groups.handle(request)
        if reply is None:
            self._end(connection)
        elif reply.response is Response.WAIT and wants_hold(request):
            connection.phase = _Phase.HELD
        else:
            self._reply(connection, request, reply)
        for held in [item for item in self._connections if item.phase is _Phase.HELD]:
            answer = self._groups.recheck(held.decoder.value)
            if answer.response is not Response.WAIT:
                self._reply(held, held.decoder.value, answer)

    def _reply(self, connection: _Connection, request: Any, reply: Reply) -> None:
        if reply.response is Response.NACK:
            self._log.debug("multinode", f"refused: {str(request)[:200]}")
        connection.phase = _Phase.SENDING
        connection.expires_at = time.monotonic() + self._transfer_limit_s
        connection.outgoing += encode_frame(reply.to_json())
        self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)

    def _send(self, connection: _Connection) -> None:
        sent = connection.socket.send(connection.outgoing)
        del connection.outgoing[:sent]
        if not connection.outgoing:
            self._end(connection)

    def _end(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()
