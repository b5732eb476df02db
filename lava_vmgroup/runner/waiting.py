# SPDX-License-Identifier: MIT
"""Waits of the main thread, which must go on looking for signals."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled

Result = TypeVar("Result")

_LOOK_S = 0.25


def waited_for(
    work: Callable[[Deadline], Result], name: str, limit_s: float, pause: Callable[[float], None]
) -> Result:
    """Return the result of `work`, which must end at the deadline `name`, `limit_s` seconds long.

    Meanwhile calls `pause` with the seconds between two looks; `pause` may raise `Canceled` to
    give up, which cancels the deadline and waits for the end of `work`.
    """
    token = CancelToken()
    deadline = Deadline.after(name, limit_s, token)
    with ThreadPoolExecutor(1, name) as worker:
        working = worker.submit(work, deadline)
        try:
            while not working.done():
                pause(_LOOK_S)
        except Canceled as reason:
            token.cancel(reason)
            raise
        return working.result()
