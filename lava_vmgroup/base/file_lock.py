# SPDX-License-Identifier: MIT
"""Locks on files; the kernel releases them when the process that holds them ends."""

from __future__ import annotations

import fcntl


def try_lock(descriptor: int, kind: int) -> bool:
    """Lock an open file with ``LOCK_EX`` or ``LOCK_SH``, without blocking.

    Returns False if another holder's lock is in the way.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
