# SPDX-License-Identifier: MIT
"""A group's members as values: who they are, what they sent, and the requests that are held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lava_vmgroup.multinode.wire import Reply, Request


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hold:
    """A request that is answered later."""

    request: Request
    since: float
    """Time of the request."""


Released = tuple[Hold, Reply]
"""A held request with its answer."""


@dataclass(frozen=True, slots=True)
class Message:
    """The last message of a member with one message id."""

    number: int
    """Position among the group's messages, from 1."""
    data: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Member:
    """A member as its first request describes it."""

    role: str
    hostname: str
    instance: str | None
    """The one program that may speak for the member; None for clients that give none."""
    came: int
    """Number of messages sent before the member came; its `lava_wait` does not return them."""
