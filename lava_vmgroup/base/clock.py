# SPDX-License-Identifier: MIT
"""The time of day by a clock that nobody sets.

NTP or the administrator may set a dispatcher's clock forward or back while a job runs.  So `now`
adds the monotonic clock to the time of day at which the program began: moments stay in order, and
the difference of two is the time that passed.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_BEGAN_AT, _BEGAN = datetime.now(UTC), time.monotonic()


def now() -> datetime:
    """Return the present moment, in UTC."""
    return _BEGAN_AT + timedelta(seconds=time.monotonic() - _BEGAN)


def seconds_set() -> float:
    """Return the seconds by which the system's clock is ahead of `now`; negative if it is behind.

    They differ after the clock was set, or after the machine was suspended.
    """
    return (datetime.now(UTC) - now()).total_seconds()
