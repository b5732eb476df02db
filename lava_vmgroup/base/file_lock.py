# SPDX-License-Identifier: MIT
"""Locks on files, which the kernel frees with the process that holds them."""

from __future__ import annotations

import fcntl


def try_lock(descriptor: int, kind: int) -> bool:
    """Lock an open file with ``LOCK_EX`` or ``LOCK_SH``; return False if others hold it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
