# SPDX-License-Identifier: MIT
"""The interface of every connection to a console, and its implementation on a file descriptor."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from typing import Protocol

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError

CHUNK = 65536
"""Bytes that are read at once."""
_LOOK_S = 0.5


class ByteStream(Protocol):
    """A two-way stream of bytes, such as a serial line or a VM's console."""

    def read(self) -> bytes:
        """Block until bytes come, and return them; return ``b""`` when the stream has ended.

        Raises `LinkLost` when the stream ended only because its connection to the host broke off.
        """
        ...

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send all of `data`.

        Raises `InfrastructureError` when the stream has ended, `LinkLost` as `read` does, and
        `DeadlineExpired`.
        """
        ...

    def close(self) -> None:
        """End the stream and wake a blocked `read`; any thread may call this, and repeatedly."""
        ...


class FdStream:
    """A `ByteStream` on a file descriptor, which it owns.

    Closing the descriptor at once would not wake a thread that waits on it, and the kernel could
    give its number to another file meanwhile.  So `close` sets a flag and wakes the threads that
    wait; the last one that leaves closes the descriptors.
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
                # A pty's master raises EIO when its last slave is closed.
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
        """Return whether the descriptor is ready; False after `limit_s` or if the stream closes."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._fd, event)
            selector.register(self._stop_r, selectors.EVENT_READ)
            ready = selector.select(limit_s)
        fds = {key.fd for key, _ in ready}
        return self._fd in fds and self._stop_r not in fds

    def _enter(self) -> bool:
        """Count this thread in; return False if the stream is closed."""
        with self._lock:
            if not self._closing:
                self._users += 1
            return not self._closing

    def _leave(self) -> None:
        """Count this thread out; the last one releases the descriptors of a closed stream."""
        with self._lock:
            self._users -= 1
            last = self._closing and self._users == 0
        if last:
            self._release()

    def _release(self) -> None:
        for fd in (self._fd, self._stop_r, self._stop_w):
            with contextlib.suppress(OSError):
                os.close(fd)
