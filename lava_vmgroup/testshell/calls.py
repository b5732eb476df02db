# SPDX-License-Identifier: MIT
"""The MultiNode calls of a test shell.  Each call waits for the group in its own thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import TestError, VMGroupError
from lava_vmgroup.console.console import Console
from lava_vmgroup.testshell.events import MultiNodeCall
from lava_vmgroup.testshell.records import Place, enveloped
from lava_vmgroup.testshell.replies import Reply, ask_blocked

_MAX_CALLS = 64
"""Number of calls of one console that may wait at once."""

_LATE_S = 10.0
"""Seconds that a call may outlast the session's deadline: the session expires first, and reports
the calls that still wait."""

IfBlocked = Callable[[Callable[[], None]], None]
"""Runs its argument if the test does nothing else while it waits for the call."""

Answer = Callable[[MultiNodeCall, CancelToken, Deadline, IfBlocked], Reply | None]
"""Carries out a MultiNode call and returns the reply, if any.  Blocks; the token cancels it."""


@dataclass(frozen=True, slots=True)
class GroupSide:
    """The functions by which a test shell reaches the group."""

    answer: Answer
    who_waits: Callable[[], Sequence[str]] = tuple
    """Returns a line for each wait of the group.  Blocks for a few seconds at most."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The end of a MultiNode call: its reply, if it needs one, or its error."""

    call: MultiNodeCall
    place: Place | None
    reply: Reply | None = None
    error: VMGroupError | None = None


@dataclass(frozen=True, slots=True)
class Doubted:
    """A call that may never be answered."""

    place: Place
    confirm: Callable[[], None]
    """To be called if the test does nothing but wait for the call.  Blocks."""


class Calls:
    """The waiting calls of a session; each posts its end to the console.

    Only the thread of the session uses it.
    """

    def __init__(self, answer: Answer, console: Console) -> None:
        self._answer = answer
        self._console = console
        self._token = CancelToken()
        self._threads: list[threading.Thread] = []
        self._doubted: dict[Place, Callable[[], None]] = {}

    @property
    def are_waiting(self) -> bool:
        """True while a call waits for the group."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def are_many(self) -> bool:
        """True if `_MAX_CALLS` calls wait already."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return len(self._threads) >= _MAX_CALLS

    def begin(self, call: MultiNodeCall, place: Place | None, deadline: Deadline) -> None:
        """Start a thread that carries a call out.

        It posts `Answered` at the end, and perhaps `Doubted` before.
        """
        late = replace(deadline, expires_at=deadline.expires_at + _LATE_S)
        self._start(lambda: self._carry_out(call, place, late))

    def doubt(self, doubted: Doubted, deadline: Deadline) -> None:
        """Ask the helper of a call whether anything else of its test runs."""
        self._doubted[doubted.place] = doubted.confirm
        self.ask_again(doubted.place, deadline)

    def ask_again(self, place: Place, deadline: Deadline) -> None:
        """Repeat the question of `doubt`, if there was one; the caller has heard of the helper."""
        if place in self._doubted:
            self._console.send_line(enveloped(place, ask_blocked()), deadline)

    def confirm(self, place: Place) -> None:
        """Call `Doubted.confirm` in a thread, because the helper says that nothing else runs."""
        if place in self._doubted:
            self._start(self._doubted[place])

    def forget(self, place: Place | None) -> None:
        """Remove the doubt about a call that has ended."""
        if place is not None:
            self._doubted.pop(place, None)

    def end(self) -> None:
        """Cancel all calls; blocks until their threads have ended."""
        self._token.cancel(TestError("the test shell has ended"))
        for thread in self._threads:
            thread.join()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="multinode", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry_out(self, call: MultiNodeCall, place: Place | None, deadline: Deadline) -> None:
        def if_blocked(confirm: Callable[[], None]) -> None:
            # A call outside of a record has no helper that can be asked.
            if place is not None:
                self._console.post(Doubted(place, confirm))

        try:
            reply = self._answer(call, self._token, deadline, if_blocked)
            answered = Answered(call, place, reply=reply)
        except VMGroupError as error:
            answered = Answered(call, place, error=error)
        self._console.post(answered)
