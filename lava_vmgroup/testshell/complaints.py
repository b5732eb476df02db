# SPDX-License-Identifier: MIT
"""Warnings of which a system under test may cause any number."""

from __future__ import annotations

import logging
from typing import Any

from lava_vmgroup.base.log import NodeLog

MAX_COMPLAINTS = 50


class Complaints:
    """Logs the first warnings of one kind, and then that further ones are left out."""

    def __init__(self, log: NodeLog, subject: str) -> None:
        self._log = log
        self._subject = subject
        self._count = 0

    def tell(self, kind: str, text: str, level: int = logging.WARNING, **fields: Any) -> None:
        """Log an event, unless that was done often enough."""
        self._count += 1
        if self._count <= MAX_COMPLAINTS:
            self._log.event(kind, text, level=level, **fields)
        if self._count == MAX_COMPLAINTS:
            self._log.warning(kind, f"further {self._subject} are not told")
