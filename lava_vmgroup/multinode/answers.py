# SPDX-License-Identifier: MIT
"""The content of a coordinator's answers to a client."""

from __future__ import annotations

import json
from typing import Any

from lava_vmgroup.base.errors import MultiNodeError
from lava_vmgroup.multinode.wire import Reply, Verb

Received = dict[str, dict[str, str]]
"""The data that a wait returns: sender, then key, then value."""


def nobody_sent_yet(command: Verb, reply: Reply) -> bool:
    """Return True for the nack with which LAVA's coordinator answers an early lava_wait_all.

    It has no reason; our coordinator gives a reason or a standstill with every refusal.
    """
    refused = reply.failed or reply.reason is not None or reply.standstill is not None
    return command is Verb.WAIT_ALL and not refused


def received(reply: Reply) -> Received:
    """Return the data that a wait returns; raise `MultiNodeError` for an answer without them."""
    if not isinstance(reply.message, dict) or not all(
        isinstance(data, dict) for data in reply.message.values()
    ):
        raise MultiNodeError(f"a coordinator answered a wait with {str(reply.message)[:60]!r}")
    return {
        sender: {key: _value(value) for key, value in data.items()}
        for sender, data in reply.message.items()
    }


def _value(value: Any) -> str:
    """Return a value as text; other programs may send JSON of any kind."""
    return value if isinstance(value, str) else json.dumps(value)
