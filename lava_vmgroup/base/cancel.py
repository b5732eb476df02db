# SPDX-License-Identifier: MIT
"""Cancellation across threads: a token that wakes blocked threads and carries the reason.

1. Before a thread blocks, it registers a function that wakes it (`CancelToken.waking`).
2. The thread that cancels sets the reason and calls each registered function once.
3. The woken thread calls `CancelToken.check`, which raises the reason.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from lava_vmgroup.base.errors import VMGroupError

Item = TypeVar("Item")

_LOOK_S = 0.5


class CancelToken:
    """A request to one piece of work to stop, with its reason; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: VMGroupError | None = None
        self._wakers: list[Callable[[], None]] = []
        self._event = threading.Event()

    @property
    def reason(self) -> VMGroupError | None:
        """The error given to `cancel`, or None while the work may go on."""
        return self._reason

    def cancel(self, reason: VMGroupError) -> None:
        """Wake the work and make it raise `reason`; of several calls the first one counts."""
        cancel_all([(self, reason)])

    def check(self) -> None:
        """Raise the reason if the token is canceled."""
        if self._reason is not None:
            raise self._reason

    def wait(self, timeout_s: float) -> bool:
        """Block until the token is canceled, at most `timeout_s` seconds; return True if it is."""
        return self._event.wait(timeout_s)

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` once if the token is canceled within the block, or at once if it already is.

        The thread that cancels calls `wake`, perhaps shortly after the block has ended.
        """
        with self._lock:
            canceled = self._reason is not None
            self._wakers.append(wake)
        if canceled:
            wake()
        try:
            yield
        finally:
            with self._lock:
                self._wakers.remove(wake)

    @contextmanager
    def also_canceling(self, other: CancelToken) -> Iterator[None]:
        """Cancel `other` for the same reason if this token is canceled within the block."""

        def pass_on() -> None:
            if self._reason is not None:
                other.cancel(self._reason)

        with self.waking(pass_on):
            yield

    def _accept(self, reason: VMGroupError) -> list[Callable[[], None]]:
        """Set the reason if it is the first one; return the functions that wake the work."""
        with self._lock:
            if self._reason is not None:
                return []
            self._reason = reason
            return [self._event.set, *self._wakers]


def cancel_all(reasons: Iterable[tuple[CancelToken, VMGroupError]]) -> None:
    """Cancel several tokens: set the reason of each one before any of their work wakes."""
    wakers = [wake for token, reason in reasons for wake in token._accept(reason)]
    for wake in wakers:
        wake()


def next_item(inbox: queue.SimpleQueue[Item]) -> Item:
    """Return the next item that a thread or a signal handler puts into `inbox`; block until then.

    Call it in the main thread.  It wakes at short intervals: the kernel gives the signals of a
    process that was stopped to any of its threads, and Python runs the handler in the main thread
    only when that one wakes.
    """
    while True:
        with suppress(queue.Empty):
            return inbox.get(timeout=_LOOK_S)
