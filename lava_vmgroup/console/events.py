# SPDX-License-Identifier: MIT
"""The events of a console as values, and the timer of nudges while no event comes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lava_vmgroup.base.deadline import Deadline

QUIET_S = 5.0
"""Seconds without text after which a console is nudged for the first time."""
LONGEST_STEP_S = 60.0
"""Seconds between two nudges, at most."""


@dataclass(frozen=True, slots=True)
class Line:
    """One complete line from the console, without its end."""

    text: str


@dataclass(frozen=True, slots=True)
class Posted:
    """An item that another thread put into the inbox."""

    item: Any


@dataclass(frozen=True, slots=True)
class Skipped:
    """Text that was dropped, because its time was up."""

    size: int
    """Its bytes; of the part that was decoded, its characters."""


@dataclass(frozen=True, slots=True)
class Match:
    """The index of the pattern that matched, the text before the match, and the match."""

    index: int
    before: str
    found: re.Match[str]


class Quiet:
    """The timer of nudges to a console, which come at growing intervals."""

    def __init__(
        self, nudge: Callable[[], object] | None, longest_s: float = LONGEST_STEP_S
    ) -> None:
        self._nudge = nudge
        self._longest_s = longest_s
        self._since = time.monotonic()
        self._step_s = QUIET_S

    def wait_s(self, heard_at: float, deadline: Deadline) -> float:
        """Return the seconds until the next nudge or the deadline; text last came at `heard_at`."""
        if self._nudge is None:
            return deadline.remaining_s
        now = time.monotonic()
        quiet_s = self._step_s - (now - max(heard_at, self._since))
        loud_s = self._longest_s - (now - self._since)
        return max(0.0, min(quiet_s, loud_s, deadline.remaining_s))

    def waits_on(self, heard_at: float, deadline: Deadline) -> bool:
        """Nudge the console if it is time; return False without a nudge or after `deadline`."""
        if self._nudge is None or deadline.expired:
            return False
        if self.wait_s(heard_at, deadline) <= 0.0:
            self._nudge()
            self._since = time.monotonic()
            self._step_s = min(2 * self._step_s, self._longest_s)
        return True
