# SPDX-License-Identifier: MIT
"""Telling how far a transfer has come, not more often than somebody can read it."""

from __future__ import annotations

import time

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog

_PERIOD_S = 0.25


class Progress:
    """Progress events of one piece of work, and the place where it learns that it must end."""

    def __init__(self, log: NodeLog, what: str, deadline: Deadline) -> None:
        self._log = log
        self._what = what
        self._deadline = deadline
        self._told_at = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Tell of bytes done and in all (0 when that is not known), unless it was just told.

        Raises what `Deadline.check` raises.
        """
        self._deadline.check()
        now = time.monotonic()
        if now - self._told_at < _PERIOD_S and done != total:
            return
        self._told_at = now
        text = f"{self._what}: {done}/{total or '?'}"
        self._log.debug("progress", text, what=self._what, done=done, total=total)
