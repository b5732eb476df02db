# SPDX-License-Identifier: MIT
"""SIGINT, SIGTERM and SIGHUP as a request to end in order, with a clean-up and results."""

from __future__ import annotations

import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lava_vmgroup.base.errors import Canceled


@contextmanager
def canceling(cancel: Callable[[Canceled], None]) -> Iterator[None]:
    """Call `cancel` for SIGINT, SIGTERM and SIGHUP within the block; do not end the process.

    SIGHUP stays ignored if it is, as for a program that ``nohup`` started.  After the block all are
    ignored: the process ends soon, and a scheduler repeats the signal until then.  A late signal
    would cost the results or the exit status.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        cancel(Canceled(f"canceled by {signal.Signals(number).name}", signal_number=number))

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


def pause(inbox: queue.SimpleQueue[Canceled], seconds: float) -> None:
    """Sleep in the main thread; raise the `Canceled` that `canceling` puts into the inbox."""
    with suppress(queue.Empty):
        raise inbox.get(timeout=seconds)
