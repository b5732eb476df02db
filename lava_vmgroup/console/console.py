# SPDX-License-Identifier: MIT
"""A console: a dialogue, and whole lines, on top of a stream of bytes.

A pump thread reads the stream all the time.  It records the bytes, feeds them to the watch for
faults, and puts them into the console's inbox.  The node's thread takes them from there.  Other
threads post to the inbox, too (an answer from the coordinator, a cancel), so the node's thread
waits for everything in one place.

The dialogue (`Console.expect`) is pexpect's.  Its window is bounded, so patterns must match within
4000 characters; test shells are read by whole lines (`Console.next_event`) instead.
"""

from __future__ import annotations

import codecs
import io
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import pexpect
from pexpect.spawnbase import SpawnBase

from lava_vmgroup.base import undecodable
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, LinkLost
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.events import LONGEST_STEP_S, Line, Match, Posted, Quiet, Skipped
from lava_vmgroup.console.inbox import Inbox
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.watch import Watch

LINE_LIMIT = 65536
"""Characters of a line; a longer one comes in pieces, so that no console fills the memory."""

_WINDOW = 4000
_PIECE = _WINDOW // 2
"""Characters given to pexpect at once: it searches no more than its window of each piece."""
BEFORE_LIMIT = 4 << 20
"""Characters before a match that are kept: the wait for a prompt may be long."""
_LAST_LINES = 20
_SHOWN = 500
"""Characters of a line that messages contain."""
_JOIN_S = 5.0
_CATCH_UP_S = 0.5
_SILENCE = "a sign of life on the console (console_silence)"


class _Woken(Exception):
    """The signal that something other than console text came into the inbox."""


_END = object()
_WAKE = object()


class Console:
    """One console and its inbox; used by the thread of its node."""

    def __init__(
        self,
        stream: ByteStream,
        recorder: Recorder,
        *,
        typing_delay_s: float = 0.0,
        watch: Watch | None = None,
    ) -> None:
        self.typing_delay_s = typing_delay_s
        """Seconds between two typed characters, for a slow reader; 0 sends whole lines."""
        self._stream = stream
        self._recorder = recorder
        self._watch = watch
        self._inbox = Inbox()
        self._posted: deque[Any] = deque()
        self._lost: LinkLost | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(undecodable.ERRORS)
        self._matcher = _Matcher(self)
        self._partial = ""
        self._unread = ""
        self._silence: Deadline | None = None
        self.heard_at = 0.0
        """The time of the last text that was read, on the monotonic clock."""
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._tail = ""
        self._pump = threading.Thread(target=self._pump_stream, name="console", daemon=True)

    def __enter__(self) -> Self:
        self._pump.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the stream, and wait up to 5 s for the pump thread to end."""
        self._inbox.close()
        self._stream.close()
        self._pump.join(_JOIN_S)
        self._recorder.close()

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last 20 lines that were read, an unfinished one included, for messages."""
        lines = [*self._lines, self._tail.rstrip("\r")] if self._tail.strip() else self._lines
        return tuple(line[:_SHOWN] for line in lines)[-_LAST_LINES:]

    @property
    def unread(self) -> str:
        """The newest text that no pattern has matched, at most 4000 characters."""
        return str(self._matcher.buffer)

    def send(self, text: str, deadline: Deadline) -> None:
        """Type `text`, character by character if `typing_delay_s` is set."""
        if not self.typing_delay_s:
            self._stream.write(text.encode(), deadline)
            return
        for character in text:
            self._stream.write(character.encode(), deadline)
            deadline.pause(self.typing_delay_s)

    def send_line(self, text: str, deadline: Deadline) -> None:
        """Type `text` and Enter."""
        self.send(f"{text}\n", deadline)

    def post(self, item: Any) -> None:
        """Put `item` into the inbox, from any thread; `next_event` returns it."""
        self._inbox.put(Posted(item))

    def expect(
        self,
        patterns: Sequence[str | re.Pattern[str]],
        deadline: Deadline,
        nudge: Callable[[], object] | None = None,
        *,
        longest_s: float = LONGEST_STEP_S,
    ) -> Match:
        """Block until the console shows one of `patterns`, and return the earliest match.

        Calls `nudge`, in this thread, after 5 seconds without output, and then at growing intervals
        of up to `longest_s` seconds, with or without output.  Raises `InfrastructureError` when the
        console was closed, `LinkLost`, the errors of `Deadline.check`, and `DeadlineExpired` after
        ``console_silence``.
        """
        compiled: list[Any] = [
            UserPattern(one) if isinstance(one, str) else one for one in patterns
        ]
        self._unread, self._partial = self._partial + self._unread, ""
        self._listen(deadline)
        quiet = Quiet(nudge, longest_s)
        with deadline.waking(self._wake):
            while True:
                deadline.check()
                try:
                    wait_s = quiet.wait_s(self.heard_at, deadline)
                    index = self._matcher.expect_list(compiled, wait_s)
                except _Woken:
                    continue
                except pexpect.TIMEOUT:
                    if not quiet.waits_on(self.heard_at, deadline):
                        raise deadline.error(self.last_lines) from None
                except pexpect.EOF:
                    raise self._ended() from None
                else:
                    found: Any = self._matcher.match
                    return Match(index, str(self._matcher.before), found)

    def next_event(
        self,
        deadline: Deadline,
        *,
        may_be_silent: bool = False,
        nudge: Callable[[], object] | None = None,
    ) -> Line | Posted:
        """Block until a complete line or a posted item comes, and return it.

        `may_be_silent` lifts the limit for silence, for a node that waits for others.  For `nudge`
        and the errors see `expect`.
        """
        self._partial = self._matcher.take_text() + self._partial
        self._listen(deadline, may_be_silent=may_be_silent)
        quiet = Quiet(nudge)
        with deadline.waking(self._wake):
            while True:
                if self._posted:
                    return Posted(self._posted.popleft())
                if line := self._take_line():
                    return line
                deadline.check()
                try:
                    self._partial += self.next_text(quiet.wait_s(self.heard_at, deadline))
                except _Woken:
                    continue
                except pexpect.TIMEOUT:
                    if not quiet.waits_on(self.heard_at, deadline):
                        raise deadline.error(self.last_lines) from None
                except pexpect.EOF:
                    raise self._ended() from None

    def unread_events(self, deadline: Deadline) -> Iterator[Line | Posted | Skipped]:
        """Yield the unread lines and items, without a wait; drop text left after `deadline`."""
        self._partial = self._matcher.take_text() + self._partial
        self._silence = None
        while not deadline.expired:
            while self._posted:
                yield Posted(self._posted.popleft())
            while line := self._take_line():
                yield line
            try:
                self._partial += self.next_text(0.0)
            except _Woken:
                continue
            except (pexpect.TIMEOUT, pexpect.EOF):
                return
        yield Skipped(self._skip_text())
        while self._posted:
            yield Posted(self._posted.popleft())

    def next_text(self, timeout_s: float | None) -> str:
        """Return the next piece of text, for the matcher; raise pexpect's TIMEOUT and EOF."""
        if not self._unread:
            self._unread = self._receive(timeout_s)
        piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
        return piece

    def _receive(self, timeout_s: float | None) -> str:
        silence = self._silence
        wait_s = timeout_s
        if silence is not None and (timeout_s is None or silence.remaining_s < timeout_s):
            wait_s = silence.remaining_s
        try:
            item = self._inbox.get(wait_s)
        except TimeoutError:
            if silence is not None and silence.expired:
                raise self._silent(silence) from None
            raise pexpect.TIMEOUT("nothing came") from None
        if item is _END:
            self._inbox.put(_END)
            raise pexpect.EOF("the stream ended")
        if item is _WAKE:
            raise _Woken
        if silence is not None:
            self._silence = silence.renewed()
        if isinstance(item, Posted):
            self._posted.append(item.item)
            raise _Woken
        self.heard_at = time.monotonic()
        text = self._decoder.decode(item)
        self._remember(text)
        return text

    def _listen(self, deadline: Deadline, *, may_be_silent: bool = False) -> None:
        """Start the limit for silence anew, if one applies."""
        limit_s = self._watch.silence_s if self._watch is not None else 0.0
        self._silence = None
        # Work without a token, such as cleaning up, has its own, short limits.
        if limit_s and not may_be_silent and deadline.token is not None:
            self._silence = Deadline.after(_SILENCE, limit_s, deadline.token)

    def _silent(self, silence: Deadline) -> DeadlineExpired:
        """Cancel the node, and return the error: no second try and no other question may follow."""
        error = silence.error(self.last_lines)
        assert silence.token is not None, "only such waits have a limit for silence"
        silence.token.cancel(error)
        return error

    def _skip_text(self) -> int:
        """Drop the unread text and return its size; posted items and the stream's end stay."""
        size = len(self._partial) + len(self._unread)
        self._partial = self._unread = ""
        self._decoder.reset()
        for item in self._inbox.take_all():
            if isinstance(item, bytes):
                size += len(item)
            elif isinstance(item, Posted):
                self._posted.append(item.item)
            elif item is _END:
                self._inbox.put(_END)
        return size

    def _take_line(self) -> Line | None:
        text, newline, rest = self._partial.partition("\n")
        if not newline and len(self._partial) < LINE_LIMIT:
            return None
        if not newline or len(text) > LINE_LIMIT:
            text, rest = self._partial[:LINE_LIMIT], self._partial[LINE_LIMIT:]
        self._partial = rest
        return Line(text.rstrip("\r"))

    def _remember(self, text: str) -> None:
        *lines, tail = (self._tail + text).split("\n")
        self._lines.extend(line.rstrip("\r") for line in lines)
        self._tail = tail[-LINE_LIMIT:]

    def _ended(self) -> InfrastructureError:
        if self._lost is not None:
            return LinkLost(self._lost.message, last_lines=self.last_lines)
        return InfrastructureError("the console was closed", last_lines=self.last_lines)

    def _wake(self) -> None:
        # Behind a flood, it would wait until all unread text was searched.
        self._inbox.put_first(_WAKE)

    def _pump_stream(self) -> None:
        watch = self._watch
        try:
            while data := self._stream.read():
                self._recorder.write(data)
                if watch is not None:
                    watch.feed(data)
                self._inbox.put_text(data)
        except LinkLost as error:
            self._lost = error
        if watch is not None and watch.sees_something():
            # The node's thread may be a moment behind, and only it finds the running test case.
            self._inbox.wait_until_read(_CATCH_UP_S)
            watch.settle()
        self._inbox.put(_END)


class _Matcher(SpawnBase):  # type: ignore[type-arg]
    """pexpect's pattern matching, fed from a console's inbox."""

    _before: io.StringIO

    def __init__(self, console: Console) -> None:
        super().__init__(
            timeout=None, searchwindowsize=_WINDOW, encoding="utf-8", codec_errors="replace"
        )
        self._console = console
        self.delayafterread = None

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> str:  # noqa: ARG002
        """Return the next text from the inbox; `size` is only a hint, as in pexpect itself."""
        if self._before.tell() > 2 * BEFORE_LIMIT:
            newest = self._before.getvalue()[-BEFORE_LIMIT:]
            self._before = io.StringIO()
            self._before.write(newest)
        return self._console.next_text(timeout)

    def take_text(self) -> str:
        """Return the text that no pattern has matched, and forget it."""
        text = str(self.buffer)
        self.buffer = ""
        self._before = io.StringIO()  # pexpect would search it again otherwise
        return text
