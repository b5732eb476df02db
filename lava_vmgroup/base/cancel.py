# SPDX-License-Identifier: MIT
"""Cancellation across threads: a token that wakes what blocks, and says why.

A thread that blocks registers how it can be woken (`CancelToken.waking`); whoever cancels calls
each of these once.  The woken call then raises the token's reason.
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
    """Asks one piece of work to stop; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: VMGroupError | None = None
        self._wakers: list[Callable[[], None]] = []
        self._event = threading.Event()

    @property
    def reason(self) -> VMGroupError | None:
        """Why the work was asked to stop, or None."""
        return self._reason

    def cancel(self, reason: VMGroupError) -> None:
        """Ask the work to stop; the first reason given stands."""
        cancel_all([(self, reason)])

    def check(self) -> None:
        """Raise the reason if the work was asked to stop."""
        if self._reason is not None:
            raise self._reason

    def wait(self, timeout_s: float) -> bool:
        """Sleep for up to `timeout_s` seconds; True as soon as the token is canceled."""
        return self._event.wait(timeout_s)

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called if the token is canceled within the block (at once if it was)."""
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
        """Have `other` canceled for the same reason if this token is within the block."""

        def pass_on() -> None:
            if self._reason is not None:
                other.cancel(self._reason)

        with self.waking(pass_on):
            yield

    def _accept(self, reason: VMGroupError) -> list[Callable[[], None]]:
        """Take the reason, if it is the first; returns who is to be woken."""
        with self._lock:
            if self._reason is not None:
                return []
            self._reason = reason
            return [self._event.set, *self._wakers]


def cancel_all(reasons: Iterable[tuple[CancelToken, VMGroupError]]) -> None:
    """Cancel several tokens at once: when the first work wakes, all have their reasons."""
    wakers = [wake for token, reason in reasons for wake in token._accept(reason)]
    for wake in wakers:
        wake()


def next_item(inbox: queue.SimpleQueue[Item]) -> Item:
    """Wait in the main thread for what other threads, or handlers of signals, put into an inbox.

    The kernel gives the signals of a process that was stopped to any of its threads.  Python runs
    the handler in the main thread, as soon as that one wakes.
    """
    while True:
        with suppress(queue.Empty):
            return inbox.get(timeout=_LOOK_S)
