# SPDX-License-Identifier: MIT
"""Limits warnings: a system under test may cause any number of them."""

from __future__ import annotations

import logging
from typing import Any

from lava_vmgroup.base.log import NodeLog

MAX_COMPLAINTS = 50


class Complaints:
    """A log of one kind of warning, which ends after `MAX_COMPLAINTS` of them."""

    def __init__(self, log: NodeLog, subject: str) -> None:
        self._log = log
        self._subject = subject
        self._count = 0

    def tell(self, kind: str, text: str, level: int = logging.WARNING, **fields: Any) -> None:
        """Log an event; after `MAX_COMPLAINTS`, log once that more are left out, and drop those."""
        self._count += 1
        if self._count <= MAX_COMPLAINTS:
            self._log.event(kind, text, level=level, **fields)
        if self._count == MAX_COMPLAINTS:
            self._log.warning(kind, f"further {self._subject} are not told")
