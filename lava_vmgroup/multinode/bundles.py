# SPDX-License-Identifier: MIT
"""The bundles of a group's members, which the first node fetches for all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from lava_vmgroup.multinode.wire import ACK, WAIT, Reply, Request, RequestRefused, Response

AGGREGATE_PAUSE = 2
"""Further polls for which v1's first node waits after the last bundle, so that it is uploaded."""


@dataclass(slots=True)
class Bundles:
    """The bundles that members have handed in."""

    by_member: dict[str, Any] = field(default_factory=dict)
    pause: int = AGGREGATE_PAUSE

    def take(self, request: Request) -> None:
        """Keep a member's bundle; raise `RequestRefused` for a request without one."""
        if not request.has_bundle or request.sub_id is None:
            raise RequestRefused("aggregate has a bundle and a sub_id")
        self.by_member[request.client] = request.bundle

    def answer(self, request: Request, size: int, cleared: Collection[str]) -> Reply:
        """Return all bundles of a group of `size` to its first node, once they are there.

        A held request does without the bundles of members that have left (`cleared`).
        """
        if request.sub_id is None or not request.sub_id.endswith(".0"):
            return ACK
        there = self.by_member.keys() | (set(cleared) if request.hold else set())
        if len(there) < size:
            self.pause = AGGREGATE_PAUSE
            return WAIT
        if self.pause and not request.hold:
            self.pause -= 1
            return WAIT
        self.pause = AGGREGATE_PAUSE
        return Reply(response=Response.ACK, message={"bundle": dict(self.by_member)})
