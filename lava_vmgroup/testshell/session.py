# SPDX-License-Identifier: MIT
"""A test shell running on a node's console: results are recorded, calls are answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from lava_vmgroup.cancel import CancelToken
from lava_vmgroup.console.console import Line
from lava_vmgroup.console.shell import PROMPT, Shell
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import (
    InfrastructureError,
    MultiNodeError,
    PeerFailed,
    TestError,
    VMGroupError,
)
from lava_vmgroup.log import NodeLog
from lava_vmgroup.testshell.events import (
    EndTestCase,
    Event,
    Malformed,
    MultiNodeCall,
    RunnerExited,
    RunnerReturned,
    StartTestCase,
    TestRaised,
)
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.signals import SignalParser, reply_nack

_PROMPT_S = 30.0

# A runner that cannot even be started says nothing itself.
_RETURNED = 'echo "<LAVA_TEST_RUNNER>: returned $?"'

Answer = Callable[[MultiNodeCall, CancelToken, Deadline], str | None]
"""Carries out a MultiNode call; blocks, and is ended by the token."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A MultiNode call has been carried out, or has failed."""

    call: MultiNodeCall
    reply: str | None = None
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
        self._running_case: str | None = None
        self._token = CancelToken()
        self._calls: list[threading.Thread] = []

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
            during = f" in test case {self._running_case}" if self._running_case else ""
            raise TestError(
                f"the system went away during its test shell{during}: {error.message}",
                last_lines=self._console.last_lines,
            ) from error
        finally:
            self._end_calls()

    def _serve(self, deadline: Deadline) -> bool:
        """Take one line or one answer; True when the runner has said that it is done."""
        event = self._console.next_event(deadline)
        if not isinstance(event, Line):
            if isinstance(event.item, _Answered):
                self._type_answer(event.item, deadline)
            return False
        signal = self._parser.feed(event.text)
        match signal:
            case None:
                self._recorder.line(event.text)
            case RunnerExited():
                return True
            case RunnerReturned(status=status):
                raise TestError(
                    f"the test shell ended with status {status} before its tests did",
                    last_lines=self._console.last_lines,
                )
            case MultiNodeCall():
                self._start_call(signal, deadline)
            case Malformed(api=api):
                self._log.warning("malformed", f"{signal.reason}: {signal.text[:200]!r}")
                if api is not None and (refusal := reply_nack(api)):
                    self._console.send_line(refusal, deadline)
            case _:
                self._note(signal)
        return False

    def _note(self, signal: Event) -> None:
        """Take a signal that wants no answer."""
        match signal:
            case StartTestCase(test_case_id=name):
                self._running_case = name
                self._log.debug("state", f"test case {name}", state=name)
            case EndTestCase():
                self._running_case = None
            case TestRaised(message=message):
                raise TestError(f"the test raised an error: {message}")
            case _:
                self._recorder.event(signal)

    def _start_call(self, call: MultiNodeCall, deadline: Deadline) -> None:
        """Carry a call out beside the console, which goes on being read meanwhile."""
        words = " ".join((call.api.helper, call.message_id, *call.arguments))
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
        error = answered.error
        if error is None:
            self._log.debug("multinode", f"{answered.call.api.helper} is done")
            reply = answered.reply
        elif isinstance(error, MultiNodeError) and not isinstance(error, PeerFailed):
            self._log.warning("multinode", error.describe())
            reply = reply_nack(answered.call.api)
        else:
            raise error
        if reply is not None:
            self._console.send_line(reply, deadline)

    def _end_calls(self) -> None:
        self._token.cancel(TestError("the test shell has ended"))
        for thread in self._calls:
            thread.join()
