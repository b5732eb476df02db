# SPDX-License-Identifier: MIT
"""The time of day by a clock that nobody sets.

A dispatcher's clock may be set while a job runs, by NTP or by hand, forward or back.  Moments of a
job are therefore counted from the time of day at which the program began: they stay in order, and
the difference of two is the time that passed.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_BEGAN_AT, _BEGAN = datetime.now(UTC), time.monotonic()


def now() -> datetime:
    """The present moment, in UTC."""
    return _BEGAN_AT + timedelta(seconds=time.monotonic() - _BEGAN)


def seconds_set() -> float:
    """Return the seconds by which the system's clock is ahead of `now`: set, or after a sleep."""
    return (datetime.now(UTC) - now()).total_seconds()
