# SPDX-License-Identifier: MIT
"""A long reply on its way to a node: part by part, so that no terminal has to hold much of it."""

from __future__ import annotations

import itertools

from lava_vmgroup.console.console import Console
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import MultiNodeError
from lava_vmgroup.testshell.signals import PartsReply

PATIENCE_S = 10.0
"""How long a node that has been typed a part may say nothing before the part is typed again."""

_MAX_TRIES = 5
"""How often one part is typed.  Whoever does not ask for the next may have been killed."""

_NAMES = itertools.count(1)


class Transfer:
    """Types a reply's parts, each when the node asks for it, and again when that is damaged."""

    def __init__(self, reply: PartsReply, console: Console) -> None:
        self.api = reply.api
        self.name = str(next(_NAMES))
        """What the node calls the reply: another one's parts must never be taken for its own."""
        self._lines = reply.lines(self.name)
        self._console = console
        self._number = 0
        self._tries = 0
        self._limit: Deadline | None = None

    def patience(self, deadline: Deadline) -> Deadline:
        """How long to wait for the node's next word."""
        return self._limit or deadline

    def type(self, number: int | None, deadline: Deadline) -> bool:
        """Type a part, counted from 1, or the last one again; False when the node has them all.

        Raises `MultiNodeError` when the part has been typed often enough.
        """
        number = number or self._number
        if number > len(self._lines):
            return False
        self._tries = self._tries + 1 if number == self._number else 1
        self._number = number
        if self._tries > _MAX_TRIES:
            raise MultiNodeError(
                f"part {number} of the {len(self._lines)} of the reply to {self.api.helper} was "
                f"typed {_MAX_TRIES} times and did not arrive"
            )
        self._console.send_line(self._lines[number - 1], deadline)
        self._limit = deadline.sub("the node's asking for the next part", PATIENCE_S)
        return True
