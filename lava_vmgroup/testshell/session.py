# SPDX-License-Identifier: MIT
"""The dialogue with a test shell on a node's console: results are recorded, calls are answered.

The rules, and their reasons:

1. The session types the command of ``lava-test-runner`` and reads the console until the runner has
   printed its last line.  One thread does that; other threads post to the console's inbox.
2. Nothing is typed in answer to a result: the test's programs may read from the console.
3. A MultiNode call waits for the group in a thread of its own, so that results and other calls are
   read meanwhile.  The session's thread types the answer.
4. A record may come more than once, and on two ways: the console and the feed beside it.  It counts
   once.  If it comes again, its answer may be lost, so that is typed again.
5. At the end of a test the node asks for the numbers of the records that are missing, and prints
   those records again.
6. If a time limit, a cancellation or the test itself ends the session, it still records the results
   that were received and not yet read, as far as they can be read in `_UNREAD_S` seconds.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    DeadlineExpired,
    InfrastructureError,
    LinkLost,
    TestError,
    VMGroupError,
)
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.console.escapes import without_escapes
from lava_vmgroup.console.events import Line, Posted, Skipped
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.whereabouts import Whereabouts
from lava_vmgroup.results.printable import one_line
from lava_vmgroup.testshell import remarks
from lava_vmgroup.testshell.calls import Answered, Calls, Doubted, GroupSide
from lava_vmgroup.testshell.complaints import Complaints
from lava_vmgroup.testshell.early_end import ended_early
from lava_vmgroup.testshell.events import (
    Blocked,
    Damaged,
    EndRun,
    EndTestCase,
    Event,
    Malformed,
    MultiNodeCall,
    PartWanted,
    Recorded,
    RunnerExited,
    RunnerReturned,
    Settle,
    TestCaseSignal,
    TestSet,
)
from lava_vmgroup.testshell.feed import FedLine, Feed
from lava_vmgroup.testshell.records import Ledger, Place
from lava_vmgroup.testshell.replies import (
    reply_sent,
    reply_settle,
)
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.signals import SignalParser, single_markers
from lava_vmgroup.testshell.typist import Typist

_SHOWN = 200
"""Characters of a call that the log shows."""

_OVERTAKEN_S = 1.0
"""Seconds by which a line of the console may overtake a record that was written before it."""

_UNREAD_S = 2.0
"""Seconds to read text that came before the end; a hurried clean-up has 5 for all its steps."""

_SHELL_S = 120.0

# If the runner cannot be started, it prints nothing.  The line comes three times: it is no record,
# so the dispatcher cannot ask for it again.
_RETURNED = 'set -- $?; for word in 1 2 3; do echo "<LAVA_TEST_RUNNER>: returned $1"; done; set --'


class Session:
    """The run of one ``lava-test-runner`` from its start to its end."""

    def __init__(
        self,
        shell: Shell,
        recorder: RunRecorder,
        group: GroupSide,
        log: NodeLog,
        feed: Feed | None = None,
    ) -> None:
        """Make a session on the shell's console; `feed` posts records that come beside it.

        The waits of the group become part of the error if the time limit passes while the test
        waits for the group.
        """
        self._shell = shell
        self._console = shell.console
        self._whereabouts = Whereabouts(shell.console)
        self._recorder = recorder
        self._calls = Calls(group.answer, shell.console)
        self._who_waits = group.who_waits
        self._log = log
        self._feed = feed
        self._parser = SignalParser()
        self._fed_parser = SignalParser()
        self._ledger = Ledger()
        self._typist = Typist(shell.console, log)
        self._complaints = Complaints(log, "markers that are damaged or broken")
        self._failed_call: VMGroupError | None = None
        self._is_over = False
        """True once the runner has ended."""

    def run(self, command: str, deadline: Deadline) -> None:
        """Type the runner's command and serve its console until the runner has ended.

        Raises `TestError` if the system goes away, the runner fails or the test raises an error;
        `LinkLost` if the connection to the host breaks off; `PeerFailed` if the test waited for a
        member of the group that has failed; `GroupStuck` if nobody in the group can go on; the
        `InfrastructureError` of a call that failed; and `DeadlineExpired`.
        """
        try:
            # First see that the shell answers: a line that is typed at a login prompt is lost.
            self._shell.run(":", deadline.sub("the shell, before the tests", _SHELL_S))
            self._shell.start(f"{command}; {_RETURNED}", deadline)
            while not self._is_over:
                self._serve(deadline)
            self._shell.await_prompt(deadline)
        except InfrastructureError as error:
            if error is self._failed_call:
                raise
            if deadline.token is not None:
                deadline.token.check()  # raises the reason, if the host is lost
            case = self._recorder.running_case
            during = f" in test case {case}" if case else ""
            if isinstance(error, LinkLost):
                raise LinkLost(f"{error.message}{during}", last_lines=error.last_lines) from error
            raise TestError(
                f"the system went away during its test shell{during}: {error.message}",
                last_lines=self._console.last_lines,
            ) from error
        except VMGroupError as error:
            self._take_unread(deadline.beyond("unread results", _UNREAD_S))
            if isinstance(error, DeadlineExpired) and self._calls.are_waiting:
                raise error.because(self._who_waits()) from error
            raise
        finally:
            self._calls.end()
            self._recorder.note_missing(self._ledger.incomplete())

    def _serve(self, deadline: Deadline, patience: Deadline | None = None) -> None:
        """Wait for a line or a posted item and serve it.

        The wait ends at `patience`, the serving at `deadline`.  Without `patience`, both end at
        `deadline`.
        """
        event = self._next_event(patience or deadline)
        if isinstance(event, Line):
            for text in single_markers(without_escapes(event.text)):
                if not self._is_over:
                    self._take_line(text, deadline)
            return
        match event and event.item:
            case FedLine(text=text):
                self._take_fed(text, deadline)
            case Answered() as answered:
                self._type_answer(answered, deadline)
            case Doubted() as doubted:
                self._calls.doubt(doubted, deadline)

    def _take_fed(self, line: str, deadline: Deadline) -> None:
        """Take a line that came beside the console; lines without a record are ignored there."""
        assert self._feed is not None, "who posts a line is there"
        self._feed.taken()
        told = self._fed_parser.feed(line)
        if isinstance(told, Recorded):
            self._take_record(told.place, told.event, deadline, on_console=False)

    def _take_line(self, line: str, deadline: Deadline) -> None:
        signal = self._parser.feed(line)
        self._recorder.line(self._parser.output)
        match signal:
            case None:
                pass
            case Recorded(place=place, event=event):
                self._take_record(place, event, deadline)
            case Damaged():
                self._take_damaged(signal, deadline)
            case RunnerExited() | RunnerReturned(status=0):
                self._is_over = True
            case RunnerReturned(status=status):
                raise ended_early(status, self._console.last_lines)
            case MultiNodeCall():
                self._start_call(signal, None, deadline)
            case PartWanted() | Blocked():
                self._take_request(signal, deadline)
            case Malformed():
                self._complain(signal, deadline)
            case _:
                remarks.take(signal, None, self._recorder, self._log)

    def _take_request(self, told: PartWanted | Blocked, deadline: Deadline) -> None:
        """Serve a helper that waits: type the part that it asks for, or note that it is blocked."""
        if isinstance(told, PartWanted):
            self._typist.type_part(told, deadline)
        else:
            self._calls.confirm(told.place)

    def _take_unread(self, limit: Deadline) -> None:
        """Record the results that were received before the session failed, and not yet read."""
        for event in self._console.unread_events(limit):
            match event:
                case Line(text=line):
                    for text in single_markers(without_escapes(line)):
                        self._take_late(self._parser.feed(text))
                case Posted(item=FedLine(text=text)):
                    self._take_late(self._fed_parser.feed(text), on_console=False)
                case Skipped(size=size):
                    self._log.warning(
                        "records",
                        f"{size} bytes of unread console text were not searched for results: "
                        f"the limit of {limit.limit_s:g} s has passed",
                    )

    def _take_late(self, told: Event | None, *, on_console: bool = True) -> None:
        place = None
        if isinstance(told, Recorded):
            if not self._is_ours(told.place) or not self._ledger.take(told.place):
                return
            place, told = told.place, told.event
            self._recorder.note_record(place, on_console=on_console)
        if isinstance(told, TestCaseSignal | TestSet | EndTestCase | EndRun):
            self._recorder.event(told, place)

    def _take_record(
        self, place: Place, event: Event | None, deadline: Deadline, *, on_console: bool = True
    ) -> None:
        """Take a record once; if it comes again, type its answer again."""
        if not self._is_ours(place):
            return
        if not self._ledger.take(place):
            self._typist.type_again(place, deadline)
            if isinstance(event, MultiNodeCall):
                self._calls.ask_again(place, deadline)
            return
        self._recorder.note_record(place, on_console=on_console)
        match event:
            case None:
                pass
            case Settle():
                self._await_fed(place.test, deadline)
                if self._is_over:
                    return  # a shell would take the answer for a command
                self._typist.type(reply_settle(self._ledger.wanted(place.test)), place, deadline)
            case MultiNodeCall():
                self._start_call(event, place, deadline)
            case Malformed():
                self._complain(event, deadline, place)
            case _:
                remarks.take(event, place, self._recorder, self._log)

    def _await_fed(self, test: int, deadline: Deadline) -> None:
        """Wait up to `_OVERTAKEN_S` for records of a test that the console has overtaken."""
        patience = deadline.sub("records on their way", _OVERTAKEN_S)
        with suppress(DeadlineExpired):
            while self._feed and not self._is_over and test in self._ledger.incomplete():
                self._serve(deadline, patience)
        deadline.check()

    def _is_ours(self, place: Place) -> bool:
        """Return whether the test of a record exists; a record of another test is not ours."""
        return place.test < self._recorder.expected

    def _take_damaged(self, damaged: Damaged, deadline: Deadline) -> None:
        """Log a damaged record; if it is a call, ask for it at once, because its helper waits.

        Other records are asked for when their test has ended.
        """
        self._complaints.tell(
            "records", f"a record came damaged: {damaged.text[:_SHOWN]!r}", logging.DEBUG
        )
        if damaged.call is not None and not self._ledger.has(damaged.call):
            self._typist.ask_again(damaged.call, deadline)

    def _complain(self, signal: Malformed, deadline: Deadline, place: Place | None = None) -> None:
        """Log a broken marker; if it was a call, refuse it, because its helper may wait."""
        self._complaints.tell("malformed", f"{signal.reason}: {signal.text[:_SHOWN]!r}")
        if signal.api is not None:
            self._typist.refuse(signal.api, place, deadline)

    def _next_event(self, deadline: Deadline) -> Line | Posted | None:
        """Wait for the console's next event and return it.

        If the node does not ask for the next part of a reply in time, type the last part again and
        return None.
        """
        try:
            return self._console.next_event(
                self._typist.patience(deadline),
                may_be_silent=self._calls.are_waiting,
                nudge=lambda: self._whereabouts.look(deadline),
            )
        except DeadlineExpired:
            if deadline.is_over or not self._typist.repeat_part(deadline):
                raise
        return None

    def _start_call(self, call: MultiNodeCall, place: Place | None, deadline: Deadline) -> None:
        """Begin a call, which waits in a thread of its own; refuse it if too many wait."""
        if self._calls.are_many:
            self._complaints.tell("multinode", "too many calls at once")
            self._typist.refuse(call.api, place, deadline)
            return
        words = one_line(" ".join((call.api.helper, call.message_id, *call.arguments)))
        words = words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."
        self._log.event("multinode", words, api=call.api.value, message_id=call.message_id)
        self._log.debug("state", words, state=words)
        self._calls.begin(call, place, deadline)

    def _type_answer(self, answered: Answered, deadline: Deadline) -> None:
        api, reply, place = answered.call.api, answered.reply, answered.place
        self._calls.forget(place)
        with self._typist.refusing(api, place, deadline):
            if answered.error is not None:
                self._failed_call = answered.error
                raise answered.error
            self._log.debug("multinode", f"{api.helper} is done")
            if reply is None and place is not None:
                reply = reply_sent()
        if reply is not None:
            self._typist.type(reply, place, deadline)
