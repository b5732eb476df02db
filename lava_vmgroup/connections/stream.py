# SPDX-License-Identifier: MIT
"""What every connection to a console is: bytes in, bytes out, and an end."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from typing import Protocol

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError

CHUNK = 65536
_LOOK_S = 0.5


class ByteStream(Protocol):
    """A two-way stream of bytes, such as a serial line or a VM's console."""

    def read(self) -> bytes:
        """Block until bytes come and return them; ``b""`` when the stream has ended.

        Raises `LinkLost` when the stream ended only because its connection to the host broke off.
        """
        ...

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send all of `data`; raises `InfrastructureError` when the stream has ended, as `read`."""
        ...

    def close(self) -> None:
        """End the stream and free a blocked `read`; from any thread, any number of times."""
        ...


class FdStream:
    """A `ByteStream` on a file descriptor, which it owns.

    A plain close would not wake a thread that waits on the descriptor, and the number could be
    given to another file meanwhile; so closing only raises a flag that the waiting sees, and the
    descriptors go when nobody is inside.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)
        self._stop_r, self._stop_w = os.pipe()
        self._lock = threading.Lock()
        self._users = 0
        self._closing = False

    def read(self) -> bytes:
        """See `ByteStream.read`."""
        while self._enter():
            try:
                if not self._wait(selectors.EVENT_READ, None):
                    return b""
                return os.read(self._fd, CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                # A pty's master reads EIO when its last slave is closed: the end.
                return b""
            finally:
                self._leave()
        return b""

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See `ByteStream.write`."""
        view = memoryview(data)
        while view:
            if not self._enter():
                raise InfrastructureError("the console connection is closed")
            try:
                if not self._wait(selectors.EVENT_WRITE, min(deadline.remaining_s, _LOOK_S)):
                    deadline.check()
                    continue
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise InfrastructureError(
                    f"writing to the console failed: {error.strerror}"
                ) from error
            finally:
                self._leave()

    def close(self) -> None:
        """See `ByteStream.close`."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            os.write(self._stop_w, b"x")
            idle = self._users == 0
        if idle:
            self._release()

    def _wait(self, event: int, limit_s: float | None) -> bool:
        """Whether the descriptor became ready before the stream was closed or it was too late."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._fd, event)
            selector.register(self._stop_r, selectors.EVENT_READ)
            ready = selector.select(limit_s)
        fds = {key.fd for key, _ in ready}
        return self._fd in fds and self._stop_r not in fds

    def _enter(self) -> bool:
        with self._lock:
            if not self._closing:
                self._users += 1
            return not self._closing

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._closing and self._users == 0
        if last:
            self._release()

    def _release(self) -> None:
        for fd in (self._fd, self._stop_r, self._stop_w):
            with contextlib.suppress(OSError):
                os.close(fd)
