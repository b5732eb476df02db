# SPDX-License-Identifier: MIT
"""The answers to a running test shell, typed at its console.

An answer to a record is kept, because it may not arrive: if the record comes again, the answer is
typed again.  A long answer goes in parts, and the node asks for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import GroupStuck, MultiNodeError, PeerFailed
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.console.console import Console
from lava_vmgroup.testshell.answers import Answers
from lava_vmgroup.testshell.events import MultiNodeApi, PartWanted
from lava_vmgroup.testshell.records import Place, enveloped
from lava_vmgroup.testshell.replies import PartsReply, Reply, reply_again, reply_nack, reply_sent
from lava_vmgroup.testshell.transfer import Transfer


class Typist:
    """Types the answers of one session; may block until the console takes the text."""

    def __init__(self, console: Console, log: NodeLog) -> None:
        self._console = console
        self._log = log
        self._answers = Answers()
        self._transfers: dict[str, Transfer] = {}
        """Replies in parts, by their names; the first one is being typed, the others wait."""
        self._given_up: dict[str, Transfer] = {}

    def type(self, reply: Reply, place: Place | None, deadline: Deadline) -> None:
        """Type an answer; keep an answer to a record."""
        if isinstance(reply, PartsReply):
            transfer = Transfer(reply, self._console, place)
            self._transfers[transfer.name] = transfer
            if self._current is transfer:
                transfer.begin(deadline)
        else:
            line = reply if place is None else enveloped(place, reply)
            self._console.send_line(line, deadline)
        if place is not None:
            self._answers.keep(place, reply)

    def type_again(self, place: Place, deadline: Deadline) -> None:
        """Type the answer to a record again, if there is one and it is not on its way."""
        reply = self._answers.due(place)
        if reply is not None and place.word not in self._transfers:
            self.type(reply, place, deadline)

    def ask_again(self, place: Place, deadline: Deadline) -> None:
        """Ask the node for a record that came damaged."""
        self._console.send_line(enveloped(place, reply_again()), deadline)

    def type_part(self, wanted: PartWanted, deadline: Deadline) -> None:
        """Type the wanted part of a reply; ignore late requests for earlier replies."""
        name = wanted.transfer
        transfer = self._transfers.get(name) or self._given_up.get(name)
        if transfer is None:
            return
        with self._giving_up(transfer, deadline):
            if not transfer.serve(wanted, deadline):
                self._end(transfer, deadline)

    def patience(self, deadline: Deadline) -> Deadline:
        """Return the deadline for the node's next word: a node may have missed a part."""
        return self._current.patience(deadline) if self._current else deadline

    def repeat_part(self, deadline: Deadline) -> bool:
        """Type the last part of a reply again; return False if there is no such reply."""
        transfer = self._current
        if transfer is None:
            return False
        with self._giving_up(transfer, deadline):
            transfer.repeat(deadline)
        return True

    @property
    def _current(self) -> Transfer | None:
        return next(iter(self._transfers.values()), None)

    def _end(self, transfer: Transfer, deadline: Deadline) -> None:
        """Forget a transfer, and begin the next one if that has waited for it."""
        was_current = self._current is transfer
        for transfers in (self._transfers, self._given_up):
            transfers.pop(transfer.name, None)
        if was_current and (following := self._current) is not None:
            following.begin(deadline)

    @contextmanager
    def _giving_up(self, transfer: Transfer, deadline: Deadline) -> Iterator[None]:
        """Refuse the call of a transfer if the block raises `MultiNodeError`; let others begin.

        If the node has not seen the refusal and asks for a part, the transfer goes on.
        """
        refused = True
        with self.refusing(transfer.api, transfer.place, deadline):
            yield
            refused = False
        if refused:
            self._end(transfer, deadline)
            self._given_up[transfer.name] = transfer

    def refuse(self, api: MultiNodeApi, place: Place | None, deadline: Deadline) -> None:
        """Type the refusal of a call, whose helper may wait."""
        refusal = reply_nack(api)
        if refusal is None and place is not None:
            refusal = reply_sent()  # lava-send does not ask if the message was sent
        if refusal is not None:
            self.type(refusal, place, deadline)

    @contextmanager
    def refusing(
        self, api: MultiNodeApi, place: Place | None, deadline: Deadline
    ) -> Iterator[None]:
        """Refuse a call if the block raises `MultiNodeError`.

        `GroupStuck` and `PeerFailed` pass, because they end the test.
        """
        try:
            yield
        except (GroupStuck, PeerFailed):
            raise
        except MultiNodeError as error:
            self._log.warning("multinode", error.describe())
            self.refuse(api, place, deadline)
