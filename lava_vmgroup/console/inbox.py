# SPDX-License-Identifier: MIT
"""What waits for a node's thread: text of its console, and what other threads have to say to it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

LIMIT = 16 << 20
"""Bytes of a console that may wait."""
PATIENCE_S = 5.0
"""How long a full inbox is waited for before the oldest text goes."""
_CHUNK = 65536


class Inbox:
    """A queue that takes a console's bytes as long as they come.

    A thread that reads holds the console up when it is slower.  One that is busy with something
    else does not: the console goes on being read, and what is too old is only in its log.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[Any] = deque()
        self._waiting_bytes = 0
        self._taken_at = time.monotonic()
        self._closed = False

    def put(self, item: Any) -> None:
        """Add something that is no text; never blocks."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def put_text(self, data: bytes) -> None:
        """Add what the console says; blocks while the inbox is full and somebody reads from it."""
        with self._changed:
            while self._waiting_bytes >= LIMIT and not self._closed:
                patience_s = self._taken_at + PATIENCE_S - time.monotonic()
                if patience_s <= 0:
                    self._forget_oldest()
                    break
                self._changed.wait(patience_s)
            last = self._items[-1] if self._items else None
            if isinstance(last, bytes) and len(last) + len(data) <= _CHUNK:
                self._items[-1] = last + data
            else:
                self._items.append(data)
            self._waiting_bytes += len(data)
            self._changed.notify_all()

    def get(self, timeout_s: float | None) -> Any:
        """The oldest item; raises `TimeoutError` when none comes."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, timeout_s):
                raise TimeoutError
            item = self._items.popleft()
            if isinstance(item, bytes):
                self._waiting_bytes -= len(item)
                self._taken_at = time.monotonic()
            self._changed.notify_all()
            return item

    def wait_until_read(self, limit_s: float) -> None:
        """Wait until no text is left, for a while."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._waiting_bytes, limit_s)

    def close(self) -> None:
        """Let nobody block any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _forget_oldest(self) -> None:
        oldest = next(item for item in self._items if isinstance(item, bytes))
        self._items.remove(oldest)
        self._waiting_bytes -= len(oldest)
