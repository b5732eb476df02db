# SPDX-License-Identifier: MIT
"""A test shell running on a node's console: results are recorded, calls are answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lava_vmgroup.cancel import CancelToken
from lava_vmgroup.console.console import Line, Posted
from lava_vmgroup.console.shell import PROMPT, Shell
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import (
    DeadlineExpired,
    InfrastructureError,
    MultiNodeError,
    PeerFailed,
    TestError,
    VMGroupError,
)
from lava_vmgroup.log import NodeLog
from lava_vmgroup.results.printable import one_line
from lava_vmgroup.testshell.events import (
    EndRun,
    EndTestCase,
    Event,
    Malformed,
    MultiNodeApi,
    MultiNodeCall,
    PartWanted,
    RunnerExited,
    RunnerReturned,
    SendPart,
    TestCaseSignal,
    TestRaised,
)
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.signals import PartsReply, Reply, SignalParser, reply_nack
from lava_vmgroup.testshell.transfer import Transfer

_PROMPT_S = 30.0
_SHOWN = 200
"""Characters of a call that the log shows."""

# A runner that cannot even be started says nothing itself.
_RETURNED = 'echo "<LAVA_TEST_RUNNER>: returned $?"'

Answer = Callable[[MultiNodeCall, CancelToken, Deadline], Reply | None]
"""Carries out a MultiNode call; blocks, and is ended by the token."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A MultiNode call has been carried out, or has failed."""

    call: MultiNodeCall
    reply: Reply | None = None
    error: VMGroupError | None = None


class Session:
    """Runs one ``lava-test-runner`` to its end."""

    def __init__(self, shell: Shell, recorder: RunRecorder, answer: Answer, log: NodeLog) -> None:
        self._shell = shell
        self._console = shell.console
        self._recorder = recorder
        self._answer = answer
        self._log = log
        self._parser = SignalParser()
        self._token = CancelToken()
        self._calls: list[threading.Thread] = []
        self._transfer: Transfer | None = None

    def run(self, command: str, deadline: Deadline) -> None:
        """Type the runner's command and serve its console until it says that it is done.

        Raises `TestError` when the console ends before or the test raises an error, `PeerFailed`
        when the test waited for a member of the group that has failed.
        """
        self._console.send_line(f"{command}; {_RETURNED}", deadline)
        try:
            while not self._serve(deadline):
                pass
            self._console.expect([PROMPT], deadline.sub("the prompt after the tests", _PROMPT_S))
        except InfrastructureError as error:
            case = self._recorder.running_case
            during = f" in test case {case}" if case else ""
            raise TestError(
                f"the system went away during its test shell{during}: {error.message}",
                last_lines=self._console.last_lines,
            ) from error
        except VMGroupError:
            self._take_unread()
            raise
        finally:
            self._end_calls()

    def _serve(self, deadline: Deadline) -> bool:
        """Take one line or one answer; True when the runner has said that it is done."""
        event = self._next_event(deadline)
        if isinstance(event, Line):
            return self._take_line(event.text, deadline)
        if event is not None and isinstance(event.item, _Answered):
            self._type_answer(event.item, deadline)
        return False

    def _take_line(self, line: str, deadline: Deadline) -> bool:
        signal = self._parser.feed(line)
        match signal:
            case None:
                self._recorder.line(line)
            case RunnerExited():
                return True
            case RunnerReturned(status=status):
                raise TestError(
                    f"the test shell ended with status {status} before its tests did",
                    last_lines=self._console.last_lines,
                )
            case MultiNodeCall():
                self._start_call(signal, deadline)
            case PartWanted():
                self._type_part(signal, deadline)
            case Malformed():
                self._complain(signal, deadline)
            case _:
                self._note(signal)
        return False

    def _take_unread(self) -> None:
        """Keep the results that came before the end, which other threads may have brought."""
        for line in self._console.unread_lines():
            match self._parser.feed(line):
                case TestCaseSignal() | EndTestCase() | EndRun() as signal:
                    self._recorder.event(signal)

    def _complain(self, signal: Malformed, deadline: Deadline) -> None:
        """Tell of a broken marker, and free the helper that may wait for its answer."""
        self._log.warning("malformed", f"{signal.reason}: {signal.text[:_SHOWN]!r}")
        if signal.api is not None and (refusal := reply_nack(signal.api)):
            self._console.send_line(refusal, deadline)

    def _next_event(self, deadline: Deadline) -> Line | Posted | None:
        """The console's next event, or None when a part has been typed again for want of one."""
        transfer = self._transfer
        try:
            return self._console.next_event(
                transfer.patience(deadline) if transfer else deadline,
                may_be_silent=any(thread.is_alive() for thread in self._calls),
            )
        except DeadlineExpired:
            if transfer is None or deadline.is_over:
                raise
        with self._refusing(transfer.api, deadline):
            transfer.repeat(deadline)
        return None

    def _note(self, signal: Event) -> None:
        """Take a signal that wants no answer."""
        match signal:
            case TestRaised(message=message):
                raise TestError(f"the test raised an error: {message}")
            case SendPart():
                pass  # the call is told with its last part
            case _:
                self._recorder.event(signal)

    def _start_call(self, call: MultiNodeCall, deadline: Deadline) -> None:
        """Carry a call out beside the console, which goes on being read meanwhile."""
        words = one_line(" ".join((call.api.helper, call.message_id, *call.arguments)))
        words = words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."
        self._log.event("multinode", words, api=call.api.value, message_id=call.message_id)
        self._log.debug("state", words, state=words)
        thread = threading.Thread(
            target=self._carry_out, args=(call, deadline), name="multinode", daemon=True
        )
        self._calls.append(thread)
        thread.start()

    def _carry_out(self, call: MultiNodeCall, deadline: Deadline) -> None:
        try:
            answered = _Answered(call, reply=self._answer(call, self._token, deadline))
        except VMGroupError as error:
            answered = _Answered(call, error=error)
        self._console.post(answered)

    def _type_answer(self, answered: _Answered, deadline: Deadline) -> None:
        api, reply = answered.call.api, answered.reply
        with self._refusing(api, deadline):
            if answered.error is not None:
                raise answered.error
            self._log.debug("multinode", f"{api.helper} is done")
        if isinstance(reply, PartsReply):
            self._transfer = Transfer(reply, self._console)
            self._transfer.begin(deadline)
        elif reply is not None:
            self._console.send_line(reply, deadline)

    def _type_part(self, wanted: PartWanted, deadline: Deadline) -> None:
        """Go on with a reply; a node that asks for one that has ended is late."""
        transfer = self._transfer
        if transfer is None or wanted.transfer != transfer.name:
            return
        with self._refusing(transfer.api, deadline):
            if not transfer.serve(wanted, deadline):
                self._transfer = None

    @contextmanager
    def _refusing(self, api: MultiNodeApi, deadline: Deadline) -> Iterator[None]:
        """Answer a call with a refusal when the group or the console cannot do what it asks for."""
        try:
            yield
        except PeerFailed:
            raise
        except MultiNodeError as error:
            self._log.warning("multinode", error.describe())
            if refusal := reply_nack(api):
                self._console.send_line(refusal, deadline)

    def _end_calls(self) -> None:
        self._token.cancel(TestError("the test shell has ended"))
        for thread in self._calls:
            thread.join()
