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
        self._transfer: Transfer | None = None

    def type(self, reply: Reply, place: Place | None, deadline: Deadline) -> None:
        """Type an answer; keep an answer to a record."""
        if isinstance(reply, PartsReply):
            self._transfer = Transfer(reply, self._console, place)
            self._transfer.begin(deadline)
        else:
            line = reply if place is None else enveloped(place, reply)
            self._console.send_line(line, deadline)
        if place is not None:
            self._answers.keep(place, reply)

    def type_again(self, place: Place, deadline: Deadline) -> None:
        """Type the answer to a record again, if there is one and it is not on its way."""
        reply = self._answers.due(place)
        under_way = self._transfer is not None and self._transfer.name == place.word
        if reply is not None and not under_way:
            self.type(reply, place, deadline)

    def ask_again(self, place: Place, deadline: Deadline) -> None:
        """Ask the node for a record that came damaged."""
        self._console.send_line(enveloped(place, reply_again()), deadline)

    def type_part(self, wanted: PartWanted, deadline: Deadline) -> None:
        """Type the wanted part of the current reply; ignore late requests for earlier replies."""
        transfer = self._transfer
        if transfer is None or wanted.transfer != transfer.name:
            return
        with self.refusing(transfer.api, transfer.place, deadline):
            if not transfer.serve(wanted, deadline):
                self._transfer = None

    def patience(self, deadline: Deadline) -> Deadline:
        """Return the deadline for the node's next word: a node may have missed a part."""
        return self._transfer.patience(deadline) if self._transfer else deadline

    def repeat_part(self, deadline: Deadline) -> bool:
        """Type the last part of a reply again; return False if there is no such reply."""
        transfer = self._transfer
        if transfer is None:
            return False
        with self.refusing(transfer.api, transfer.place, deadline):
            transfer.repeat(deadline)
        return True

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
