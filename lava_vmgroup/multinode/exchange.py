# SPDX-License-Identifier: MIT
"""A connection to a coordinator, in which every wait ends by a deadline or a cancel."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.vanished_peer import notice_vanished_peer
from lava_vmgroup.multinode.frames import REPLY_LIMIT, FrameDecoder
from lava_vmgroup.multinode.wire import Reply

CHUNK = 65536
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0
"""Seconds between two tries to reach a coordinator: the first pause, and the longest."""
LONGEST_SELECT_S = 86400.0
"""Seconds of one `select`; the system refuses a time limit of a month."""

SILENCE_S = 25
"""Seconds for which the other machine may be silent before the connection breaks off."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its reply over a connection.

    Every method that waits raises `OSError` if the connection breaks off, the token's reason if
    it is canceled, and the deadline's error.
    """

    connection: socket.socket
    woken: socket.socket
    token: CancelToken
    deadline: Deadline

    def ask(self, frame: bytes) -> Reply:
        """Send the request and return the reply.  Raises `FrameError` if the answer is none."""
        self.send(frame)
        return self.reply()

    def send(self, frame: bytes) -> None:
        """Send the request."""
        rest = memoryview(frame)
        while rest:
            self._until(selectors.EVENT_WRITE)
            rest = rest[self.connection.send(rest) :]

    def reply(self) -> Reply:
        """Wait for the reply and return it.  Raises `FrameError` if the answer is none."""
        decoder = FrameDecoder(REPLY_LIMIT)
        while not decoder.feed(self._receive()):
            pass
        return Reply.parse(decoder.value)

    def until_closed(self) -> None:
        """Wait until the other side closes the connection."""
        with suppress(ConnectionError):
            while True:
                self._receive()

    def finish_connecting(self) -> None:
        """Wait until the connection is made."""
        self._until(selectors.EVENT_WRITE)
        code = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        if self.connection.getsockname() == self.connection.getpeername():
            # If nobody listens on a port, the system may pick that port for this end.  Loopback
            # then connects the socket to itself.
            raise ConnectionError("nobody listens")

    def _receive(self) -> bytes:
        self._until(selectors.EVENT_READ)
        chunk = self.connection.recv(CHUNK)
        if not chunk:
            raise ConnectionError("the connection was closed without an answer")
        return chunk

    def _until(self, event: int) -> None:
        """Wait until the connection is ready for `event`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, event)
            selector.register(self.woken, selectors.EVENT_READ)
            while True:
                ready = selector.select(min(self.deadline.remaining_s, LONGEST_SELECT_S))
                self.token.check()
                if any(key.fileobj is self.connection for key, _ in ready):
                    return
                if self.deadline.expired:
                    raise self.deadline.error()


@contextmanager
def exchanging(
    address: tuple[str, int], token: CancelToken, deadline: Deadline
) -> Iterator[Exchange]:
    """Connect to the coordinator at `address` within the block; its name's look-up may block.

    Raises `OSError` if the connection cannot be made, the token's reason, or the deadline's error.
    """
    woken, waker = socket.socketpair()

    def wake() -> None:
        # The token may call this a moment after the block has closed the pair.
        with suppress(OSError):
            waker.send(b"\0")

    with (
        woken,
        waker,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection,
        token.waking(wake),
    ):
        connection.setblocking(False)
        notice_vanished_peer(connection, SILENCE_S)
        with suppress(BlockingIOError):
            connection.connect(address)
        exchange = Exchange(connection, woken, token, deadline)
        exchange.finish_connecting()
        yield exchange
