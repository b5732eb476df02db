# SPDX-License-Identifier: MIT
"""A long reply on its way to a node: part by part, so that no terminal has to hold much of it."""

from __future__ import annotations

import itertools

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import MultiNodeError
from lava_vmgroup.console.console import Console
from lava_vmgroup.testshell.events import PartWanted
from lava_vmgroup.testshell.records import Place
from lava_vmgroup.testshell.replies import PartsReply

PATIENCE_S = 10.0
"""How long a node that has been typed a part may say nothing before the part is typed again."""

_MAX_TRIES = 5
"""How often one part is typed.  Whoever does not ask for the next may have been killed."""

_NAMES = itertools.count(1)


class Transfer:
    """Types a reply's parts, each when the node asks for it.

    After a `MultiNodeError` the node is to be refused.  If it asks for a part nevertheless, because
    it has not seen that, the transfer goes on.
    """

    def __init__(self, reply: PartsReply, console: Console, place: Place | None = None) -> None:
        self.api = reply.api
        self.place = place
        """Which record it answers, if any."""
        self.name = str(next(_NAMES)) if place is None else place.word
        """What the node calls the reply: another one's parts must never be taken for its own."""
        self._lines = reply.lines(self.name)
        self._console = console
        self._number = 0
        self._tries = 0
        self._limit: Deadline | None = None

    def patience(self, deadline: Deadline) -> Deadline:
        """How long to wait for the node's next word."""
        return self._limit or deadline

    def begin(self, deadline: Deadline) -> None:
        """Type the first part."""
        self._type(1, deadline)

    def serve(self, wanted: PartWanted, deadline: Deadline) -> bool:
        """Type the part that the node asks for; False when it has them all.

        A part that is on its way is typed once more only if it came damaged.  Raises
        `MultiNodeError` when it has been typed often enough.
        """
        if wanted.number > len(self._lines):
            return False
        if wanted.number != self._number or wanted.again:
            self._type(wanted.number, deadline)
        return True

    def repeat(self, deadline: Deadline) -> None:
        """Type the last part again, as the node says nothing; raises as `serve`."""
        # The end of the line before may be what was lost.
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
