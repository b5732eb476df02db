# SPDX-License-Identifier: MIT
"""The inbox of a node's thread: text of its console, and items from other threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

LIMIT = 16 << 20
"""Bytes of console text that an inbox holds."""
PATIENCE_S = 5.0
"""Seconds without a reader after which a full inbox drops its oldest text."""
_CHUNK = 65536
"""Bytes up to which pieces of text are joined."""


class Inbox:
    """A queue of a console's text and other items.

    If the node's thread reads more slowly than the text comes, the inbox blocks the console, so
    that no text is lost.  If the node's thread reads nothing for `PATIENCE_S` seconds, the inbox
    drops the oldest text, which stays in the console's log.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[Any] = deque()
        self._waiting_bytes = 0
        self._taken_at = time.monotonic()
        self._closed = False

    def put(self, item: Any) -> None:
        """Add an item that is not text; never block."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def put_first(self, item: Any) -> None:
        """Add an item that is not text in front of all others; never block."""
        with self._changed:
            self._items.appendleft(item)
            self._changed.notify_all()

    def put_text(self, data: bytes) -> None:
        """Add text of the console; while the inbox is full and its reader is active, block."""
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
        """Return the oldest item; raise `TimeoutError` if none comes in `timeout_s` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, timeout_s):
                raise TimeoutError
            item = self._items.popleft()
            if isinstance(item, bytes):
                self._waiting_bytes -= len(item)
                self._taken_at = time.monotonic()
            self._changed.notify_all()
            return item

    def take_all(self) -> list[Any]:
        """Return all items, the oldest first, which leaves the inbox empty; never block."""
        with self._changed:
            items = list(self._items)
            self._items.clear()
            self._waiting_bytes = 0
            self._taken_at = time.monotonic()
            self._changed.notify_all()
            return items

    def wait_until_read(self, limit_s: float) -> None:
        """Block until all text was read or the inbox is closed, at most `limit_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._waiting_bytes, limit_s)

    def close(self) -> None:
        """Wake `put_text` and `wait_until_read`; they do not block any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _forget_oldest(self) -> None:
        oldest = next(item for item in self._items if isinstance(item, bytes))
        self._items.remove(oldest)
        self._waiting_bytes -= len(oldest)
