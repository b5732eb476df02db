# SPDX-License-Identifier: MIT
"""A TCP relay on loopback that can stop forwarding, as a network that is cut without a word."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Forwards connections to a port of loopback, in both directions, while it is not frozen."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = threading.Event()
        self._open.set()
        self.pause_s = 0.0
        """Seconds that each piece takes; they make a slow network."""
        self.forwarded = 0
        """Bytes, in both directions."""
        self.foreword = b""
        """Text that comes before all others, some time before."""
        self._allowed: int | None = None
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def freeze(self) -> None:
        """Take nothing and give nothing any more; connections stay."""
        self._open.clear()

    def thaw(self) -> None:
        """Go on as if nothing had been."""
        self._open.set()

    def cut(self) -> None:
        """Have all connections break off; new ones are welcome."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            # Without a word of goodbye: what is unsent is thrown away.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                one.shutdown(socket.SHUT_RD)
            one.close()

    def cut_after(self, size: int) -> None:
        """Have all connections break off once, when `size` further bytes were forwarded."""
        self._allowed = self.forwarded + size

    def refuse(self) -> None:
        """Have all connections break off, and take no new ones."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def close(self) -> None:
        """End all connections."""
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.thaw()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.foreword:
                    near.sendall(self.foreword)
                    time.sleep(0.3)
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                time.sleep(self.pause_s)
                self._open.wait()
                target.sendall(chunk)
                self.forwarded += len(chunk)
                if self._allowed is not None and self.forwarded >= self._allowed:
                    self._allowed = None
                    self.cut()
            self._open.wait()
            target.shutdown(socket.SHUT_WR)


@contextmanager
def relay(port: int) -> Iterator[Relay]:
    """A relay to a port."""
    made = Relay(port)
    try:
        yield made
    finally:
        made.close()
