# SPDX-License-Identifier: MIT
"""The rounds of one ``lava_sync``: the group may use the same sync again and again."""

from __future__ import annotations

from dataclasses import dataclass, field

from lava_vmgroup.multinode.wire import Reply, Request, Response


@dataclass(slots=True)
class Sync:
    """The open round of a sync, and the answers of the last round that are still to be given."""

    entered: set[str] = field(default_factory=set)
    """The members that wait for the others in the open round."""
    released: set[str] = field(default_factory=set)
    """The members that have not got the answer of the last round yet."""
    told: dict[str, str] = field(default_factory=dict)
    """The last answered ``call`` of each member, to repeat an answer that got lost."""

    def was_told(self, request: Request) -> bool:
        """Return True if this call was answered before; its client has then missed the answer."""
        return request.call is not None and self.told.get(request.client) == request.call

    def release(self, request: Request) -> Reply:
        """Return the answer that ends the client's round, and record that it was given."""
        self.released.discard(request.client)
        if request.call is not None:
            self.told[request.client] = request.call
        return Reply(response=Response.ACK, message=request.message or request.message_id)
