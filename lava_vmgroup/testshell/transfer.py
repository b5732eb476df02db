# SPDX-License-Identifier: MIT
"""Types a long reply to a node part by part, so that no terminal has to hold much of it."""

from __future__ import annotations

import itertools

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import MultiNodeError
from lava_vmgroup.console.console import Console
from lava_vmgroup.testshell.events import PartWanted
from lava_vmgroup.testshell.records import Place
from lava_vmgroup.testshell.replies import PartsReply

PATIENCE_S = 10.0
"""Seconds that a node has to ask for the next part before the last one is typed again."""

_MAX_TRIES = 5
"""Number of times that one part is typed.  After that, the helper has probably been killed."""

_NAMES = itertools.count(1)


class Transfer:
    """A reply in parts, each of which is typed when the node asks for it.

    After a `MultiNodeError` the caller refuses the call.  If the node has not seen the refusal and
    asks for a part, the transfer goes on.
    """

    def __init__(self, reply: PartsReply, console: Console, place: Place | None = None) -> None:
        self.api = reply.api
        self.place = place
        """The record that it answers, if any."""
        self.name = str(next(_NAMES)) if place is None else place.word
        """The reply's name on the node, by which it tells the parts of different replies apart."""
        self._lines = reply.lines(self.name)
        self._console = console
        self._number = 0
        self._tries = 0
        self._limit: Deadline | None = None

    def patience(self, deadline: Deadline) -> Deadline:
        """Return the limit of the wait for the node's next request, or else `deadline`."""
        return self._limit or deadline

    def begin(self, deadline: Deadline) -> None:
        """Type the first part."""
        self._type(1, deadline)

    def serve(self, wanted: PartWanted, deadline: Deadline) -> bool:
        """Type the part that the node asks for; return False if it has them all.

        A part that is on its way is typed again only if it came damaged.  Raises `MultiNodeError`
        if a part has been typed too often.
        """
        if wanted.number > len(self._lines):
            return False
        if wanted.number != self._number or wanted.again:
            self._type(wanted.number, deadline)
        return True

    def repeat(self, deadline: Deadline) -> None:
        """Type the last part again, because the node is silent; raises as `serve`."""
        # If the line end of the part was lost, this one replaces it.
        self._console.send_line("", deadline)
        self._type(self._number, deadline)

    def _type(self, number: int, deadline: Deadline) -> None:
        self._tries = self._tries + 1 if number == self._number else 1
        self._number, self._limit = number, None
        if self._tries > _MAX_TRIES:
            raise MultiNodeError(
                f"part {number} of the {len(self._lines)} of the reply to {self.api.helper} was "
                f"typed {_MAX_TRIES} times and did not arrive"
            )
        self._console.send_line(self._lines[number - 1], deadline)
        self._limit = deadline.sub("the node's asking for the next part", PATIENCE_S)
