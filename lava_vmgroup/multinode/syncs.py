# SPDX-License-Identifier: MIT
"""The rounds of one ``lava_sync``."""

from __future__ import annotations

from dataclasses import dataclass, field

from lava_vmgroup.multinode.wire import Reply, Request, Response


@dataclass(slots=True)
class Sync:
    """The open round of a sync, and what is left of the last one."""

    entered: set[str] = field(default_factory=set)
    """The members that wait for the others in the open round."""
    released: set[str] = field(default_factory=set)
    """The members that have yet to be told that the last round is complete."""
    told: dict[str, str] = field(default_factory=dict)
    """The last call of each member that was answered; the answer may have got lost."""

    def was_told(self, request: Request) -> bool:
        """Return whether this call was answered before; its client may have missed the answer."""
        return request.call is not None and self.told.get(request.client) == request.call

    def release(self, request: Request) -> Reply:
        """Tell a client that its round is complete."""
        self.released.discard(request.client)
        if request.call is not None:
            self.told[request.client] = request.call
        return Reply(response=Response.ACK, message=request.message or request.message_id)
