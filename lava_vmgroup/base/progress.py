# SPDX-License-Identifier: MIT
"""Progress events of a transfer, no more often than a person can read them."""

from __future__ import annotations

import time

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog

_PERIOD_S = 0.25


class Progress:
    """A callback that logs the progress of one piece of work, and raises if the work must end."""

    def __init__(self, log: NodeLog, what: str, deadline: Deadline) -> None:
        self._log = log
        self._what = what
        self._deadline = deadline
        self._told_at = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Log `done` of `total` bytes, at most four times a second; always log the end.

        A `total` of 0 means that it is not known.  Raises what `Deadline.check` raises.
        """
        self._deadline.check()
        now = time.monotonic()
        if now - self._told_at < _PERIOD_S and done != total:
            return
        self._told_at = now
        text = f"{self._what}: {done}/{total or '?'}"
        self._log.debug("progress", text, what=self._what, done=done, total=total)
