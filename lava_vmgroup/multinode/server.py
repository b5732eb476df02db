# SPDX-License-Identifier: MIT
"""The sockets of a coordinator: thousands of connections, none of which can hold up another.

A connection first receives its request.  If the request's condition is not met yet, the connection
is held.  Then it sends the reply and is closed.  Receiving and sending have a time limit, being
held has none.  A watch is held again after its reply.  A faulty client loses its own connection;
all others go on.
"""

from __future__ import annotations

import enum
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.vanished_peer import notice_vanished_peer
from lava_vmgroup.multinode.exchange import SILENCE_S
from lava_vmgroup.multinode.frames import FrameDecoder, FrameError, encode_frame
from lava_vmgroup.multinode.groups import Groups
from lava_vmgroup.multinode.member import Hold, Released
from lava_vmgroup.multinode.wire import Reply, Request, Response, Verb

CHUNK = 65536
ACCEPT_BATCH = 100
"""New connections to accept before the open ones are served again."""
FULL_PAUSE_S = 0.1
"""Seconds without accepting connections after there was no room for one."""
DAWDLING_S = 1.0
"""Seconds after which a client that has not sent its request may lose its place to another one."""
GRACE_S = 0.5
"""Seconds for which a member may be without its presence before it counts as failed."""
EXPIRY_S = 600.0
"""Seconds between two searches for groups that nobody uses any more."""
RESET = struct.pack("ii", 1, 0)
"""Value of SO_LINGER for closing at once, with a reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits that a server sets to its clients."""

    transfer_s: float = 10.0
    """Seconds that receiving a request may take, and as many for sending a reply."""
    request_bytes: int
    buffer_bytes: int = 256 * 1024 * 1024
    """Bytes that all connections together may hold; beyond it the one with most is reset."""
    connections: int


class _Phase(enum.Enum):
    RECEIVING = enum.auto()
    HELD = enum.auto()
    SENDING = enum.auto()
    ENDED = enum.auto()


@dataclass(slots=True, kw_only=True, eq=False)
class _Connection:
    socket: socket.socket
    local: bool
    decoder: FrameDecoder
    phase: _Phase = _Phase.RECEIVING
    expires_at: float
    """End of the phase on the monotonic clock; unused while held."""
    hold: Hold | None = None
    outgoing: bytearray = field(default_factory=bytearray)
    weight: int = 0
    """Bytes of this connection in the server's sum."""

    @property
    def buffered(self) -> int:
        """Bytes that the connection holds in memory now."""
        held = self.hold.request.size if self.hold else 0
        return self.decoder.buffered + held + len(self.outgoing)

    @property
    def watches(self) -> bool:
        """True for the presence of a member."""
        return self.hold is not None and self.hold.request.command is Verb.WATCH


class Server:
    """A server of `groups` for the clients that connect to `listener`; for use in one thread."""

    def __init__(
        self, listener: socket.socket, stop: socket.socket, groups: Groups, limits: Limits
    ) -> None:
        """Take the sockets; `serve` ends as soon as `stop` has something to read."""
        self._listener = listener
        self._stop = stop
        self._groups = groups
        self._limits = limits
        self._selector = selectors.DefaultSelector()
        self._connections: set[_Connection] = set()
        self._timed: dict[_Connection, None] = {}  # in the order in which they expire
        self._held: dict[Hold, _Connection] = {}
        self._missing: deque[tuple[float, Request]] = deque()
        self._paused_until: float | None = None
        self._next_expiry = time.monotonic() + EXPIRY_S
        self._buffered = 0
        self._log = NodeLog("coordinator")

    def serve(self) -> None:
        """Serve until `stop` has something to read, then close every connection."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stop, selectors.EVENT_READ)
        try:
            while True:
                ready = self._selector.select(self._patience())
                if any(key.fileobj is self._stop for key, _ in ready):
                    return
                for key, _ in ready:
                    if key.data is None:
                        self._accept()
                    else:
                        self._proceed(key.data)
                self._look_at_the_clock()
        finally:
            for connection in list(self._connections):
                self._end(connection)
            self._selector.close()

    def _patience(self) -> float:
        """Return the seconds until the next task that the clock brings."""
        moments = [self._next_expiry]
        if self._timed:
            moments.append(next(iter(self._timed)).expires_at)
        if self._missing:
            moments.append(self._missing[0][0])
        if self._paused_until is not None:
            moments.append(self._paused_until)
        return max(0.0, min(moments) - time.monotonic())

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        while self._timed and now >= (late := next(iter(self._timed))).expires_at:
            self._log.debug("multinode", "a client took too long, its connection is reset")
            self._reset(late)
        while self._missing and now >= self._missing[0][0]:
            _, watch = self._missing.popleft()
            released = self._groups.lose(watch)
            if released is not None:
                self._log.event("lost", f"{watch.client!a} of group {watch.group!a} broke off")
                self._release(released)
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
            self._selector.register(self._listener, selectors.EVENT_READ)
        if now >= self._next_expiry:
            self._next_expiry = now + EXPIRY_S
            for name in self._groups.expire(now):
                self._log.event("multinode", f"nobody uses group {name!a} any more, it is dropped")

    def _accept(self) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                if not self._has_room():
                    raise OSError(f"{self._limits.connections} connections are open")
                accepted, (host, _port) = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # the client has gone again
            except OSError as error:
                # The listener stays ready: without a pause the loop would spin.
                self._log.warning("multinode", f"no new connections for a moment: {error}")
                self._selector.unregister(self._listener)
                self._paused_until = time.monotonic() + FULL_PAUSE_S
                return
            self._take_in(accepted, local=host.startswith("127."))

    def _has_room(self) -> bool:
        """Return True if one more connection may come; reset a silent client to make room."""
        if len(self._connections) < self._limits.connections:
            return True
        enough = time.monotonic() + self._limits.transfer_s - DAWDLING_S
        for connection in self._timed:
            if connection.phase is _Phase.RECEIVING and connection.expires_at < enough:
                self._log.debug("multinode", "a silent client makes room for another one")
                self._reset(connection)
                return True
        return False

    def _take_in(self, accepted: socket.socket, *, local: bool) -> None:
        accepted.setblocking(False)
        notice_vanished_peer(accepted, SILENCE_S)
        connection = _Connection(
            socket=accepted,
            local=local,
            decoder=FrameDecoder(self._limits.request_bytes),
            expires_at=time.monotonic() + self._limits.transfer_s,
        )
        self._connections.add(connection)
        self._timed[connection] = None
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _proceed(self, connection: _Connection) -> None:
        """Receive from or send to a ready socket; close the connection if its client is at fault.

        A bug is logged, and ends no other connection.
        """
        try:
            if connection.phase is _Phase.SENDING:
                self._send(connection)
            elif connection.phase is not _Phase.ENDED:
                self._receive(connection)
        except BlockingIOError:
            return
        except (OSError, FrameError) as error:
            self._log.debug("multinode", f"a client's connection is closed: {error}")
            self._end(connection)
        except Exception as error:  # noqa: BLE001 - a bug must not end all groups
            self._log.warning("multinode", f"a bug, please report it: {error!r}")
            self._end(connection)

    def _receive(self, connection: _Connection) -> None:
        chunk = connection.socket.recv(CHUNK)
        if not chunk:
            self._end(connection)
        elif connection.phase is _Phase.RECEIVING:
            complete = connection.decoder.feed(chunk)
            self._weigh(connection)
            if complete and connection.phase is _Phase.RECEIVING:
                self._handle(connection)

    def _handle(self, connection: _Connection) -> None:
        request = connection.decoder.value
        outcome = self._groups.handle(
            request,
            now=time.monotonic(),
            size=connection.decoder.length,
            local=connection.local,
        )
        connection.decoder.forget()
        if outcome.hold is not None:
            self._hold(connection, outcome.hold)
        if outcome.reply is not None:
            self._tell_refusal(request, outcome.reply)
            self._reply(connection, outcome.reply)
        elif outcome.hold is None:
            self._end(connection)
        self._release(outcome.released)

    def _hold(self, connection: _Connection, hold: Hold) -> None:
        connection.phase = _Phase.HELD
        connection.hold = hold
        self._held[hold] = connection
        self._timed.pop(connection, None)
        self._weigh(connection)

    def _release(self, released: Iterable[Released]) -> None:
        for hold, reply in released:
            connection = self._held.get(hold)
            if connection is not None:
                self._reply(connection, reply)

    def _reply(self, connection: _Connection, reply: Reply) -> None:
        if connection.hold is not None and not connection.watches:
            del self._held[connection.hold]
            connection.hold = None
        if connection.phase is _Phase.ENDED:
            return
        connection.phase = _Phase.SENDING
        connection.outgoing += encode_frame(reply.to_json())
        self._weigh(connection)
        self._proceed(connection)  # most replies go at once
        if connection.phase is _Phase.SENDING:
            connection.expires_at = time.monotonic() + self._limits.transfer_s
            self._timed.pop(connection, None)
            self._timed[connection] = None
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)

    def _send(self, connection: _Connection) -> None:
        sent = connection.socket.send(connection.outgoing)
        del connection.outgoing[:sent]
        self._weigh(connection)
        if connection.outgoing:
            return
        if connection.watches:
            connection.phase = _Phase.HELD
            self._timed.pop(connection, None)
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
        else:
            self._end(connection)

    def _weigh(self, connection: _Connection) -> None:
        """Update the sum of buffered bytes; while it is too large, reset the largest connection."""
        self._buffered += connection.buffered - connection.weight
        connection.weight = connection.buffered
        while self._buffered > self._limits.buffer_bytes:
            greediest = max(self._connections, key=lambda item: item.weight)
            self._log.warning("multinode", f"a client with {greediest.weight} bytes is cut off")
            self._reset(greediest)

    def _reset(self, connection: _Connection) -> None:
        # Without the reset, the system would keep the data that the client has not read.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._end(connection)

    def _end(self, connection: _Connection) -> None:
        if connection.phase is _Phase.ENDED:
            return
        connection.phase = _Phase.ENDED
        self._connections.discard(connection)
        self._timed.pop(connection, None)
        self._buffered -= connection.weight
        self._selector.unregister(connection.socket)
        connection.socket.close()
        if connection.hold is not None:
            self._held.pop(connection.hold, None)
            now = time.monotonic()
            if self._groups.withdraw(connection.hold, now):
                self._missing.append((now + GRACE_S, connection.hold.request))

    def _tell_refusal(self, request: Any, reply: Reply) -> None:
        if reply.response is Response.NACK:
            fields = request if isinstance(request, Mapping) else {}
            named = [str(fields.get(key))[:60] for key in ("request", "client_name", "group_name")]
            why = reply.reason or reply.failed or "without a reason"
            self._log.debug("multinode", f"refused {named!a}: {why!a}")
