# SPDX-License-Identifier: MIT
"""The last answers to records.  If an answer does not arrive, the helper asks again."""

from __future__ import annotations

import time

from lava_vmgroup.testshell.records import Place
from lava_vmgroup.testshell.replies import Reply

AGAIN_S = 3.0
"""Seconds after an answer.  If its record comes again within them, the two crossed on the way."""

_MAX_ANSWERS = 100


class Answers:
    """The replies that were typed, by record, each with its time."""

    def __init__(self) -> None:
        self._typed: dict[Place, tuple[Reply, float]] = {}

    def keep(self, place: Place, reply: Reply) -> None:
        """Remember an answer that was just typed; forget the oldest if there are too many."""
        self._typed[place] = (reply, time.monotonic())
        if len(self._typed) > _MAX_ANSWERS:
            del self._typed[next(iter(self._typed))]

    def due(self, place: Place) -> Reply | None:
        """Return the answer to type again; None if there is none, or it may still arrive."""
        reply, typed_at = self._typed.get(place, (None, 0.0))
        return reply if time.monotonic() - typed_at > AGAIN_S else None
