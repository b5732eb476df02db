# SPDX-License-Identifier: MIT
"""Watches a console for faults, whatever the node's thread is doing.

The thread that reads the console feeds it.  A kernel's messages begin with a time stamp nearly
everywhere, which a test's own output does not; so once a system has shown one, only what has one
is taken for a message of its kernel.  A message with the same time stamp and words is no news: it
is a test's ``dmesg``.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from lava_vmgroup.console.faults import FAULTS, Fault, Place, Severity
from lava_vmgroup.errors import JobError
from lava_vmgroup.testshell.pattern import UserPattern

LINE_LIMIT = 1000
"""Characters of a line that are looked at and kept."""
LINES_BEFORE = 10
LINES_AFTER = 60
AFTERMATH_S = 0.8
"""How long what follows a fault is waited for; a call trace comes at once."""

_STAMP = re.compile(r"(?<!['\"])\[ {0,9}\d{1,9}\.\d{6}\](?:\[ {0,5}[TC]\d{1,9}\])? ")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
_REMEMBERED = 1000
_CASE = re.compile(r"<LAVA_SIGNAL_(?:STARTTC (?P<begun>[^>]*?)|ENDTC [^>]*)(?: CHECK=\d+)?>")
"""Where a test case begins or ends; whoever records it may be behind the console, or before it."""
_LAST_WORDS = "---[ end Kernel panic"


@dataclass(slots=True, kw_only=True)
class Sighting:
    """A fault that shows on the console; grows until what follows is over."""

    fault: Fault
    line: str
    """From where the message begins."""
    lines: list[str]
    test_case: str | None
    room: int = LINES_AFTER


@dataclass(slots=True)
class _System:
    """What the watch knows of the system that runs."""

    is_up: bool = False
    has_stamps: bool = False
    is_dead: bool = False
    """Whether a fatal fault was told: nothing that follows is news."""
    told: set[str] = field(default_factory=set)
    """Messages with their time stamps."""


class Watch:
    """Tells faults of the systems on one node's console; may be used from any thread."""

    silence_s: float = 0.0
    """How long a console may say nothing while something is expected of it; 0 is for ever."""

    def __init__(
        self,
        tell: Callable[[Sighting], None],
        *,
        ignored: Collection[str] = (),
        added: Iterable[Fault] = (),
        running_case: Callable[[], str | None] = lambda: None,
        give_up: Callable[[JobError], None] = lambda _: None,
    ) -> None:
        """`tell` is called once for each fault that is not `ignored`, when its lines have come.

        `give_up` is called for an `added` one that takes too long; it is not looked for any more.
        """
        self._tell = tell
        self._give_up = give_up
        self._ignored = frozenset(ignored)
        self._running_case = running_case
        self._own = {fault: UserPattern(fault.pattern) for fault in added}
        self._lock = threading.RLock()
        self._system = _System()
        self._torn = b""
        self._before: deque[str] = deque(maxlen=LINES_BEFORE)
        self._case: str | None = None
        self._sighting: Sighting | None = None
        self._timer: threading.Timer | None = None
        self._stopped = False

    @property
    def system_died(self) -> bool:
        """Whether the system that ran last has told something fatal."""
        return self._system.is_dead

    def system_is_up(self) -> None:
        """Take every reset for a fault from now on."""
        with self._lock:
            self._system.is_up = True

    def expect_reset(self) -> None:
        """Take what comes for another system's words, which may begin with its firmware's."""
        self.settle()
        with self._lock:
            self._system, self._case = _System(), None

    def stop(self) -> None:
        """Tell nothing any more: the system is being ended."""
        self.settle()
        self._stopped = True

    def feed(self, data: bytes) -> None:
        """Take what the console says."""
        with self._lock:
            if self._stopped:
                return
            complete, newline, torn = data.rpartition(b"\n")
            if newline:
                complete, self._torn = self._torn + complete, b""
                for line in complete.decode(errors="replace").split("\n"):
                    self._take(line[:LINE_LIMIT].rstrip("\r"))
            # The end of a line that is too long is of no interest.
            self._torn = (self._torn + torn)[:LINE_LIMIT]

    def sees_something(self) -> bool:
        """Whether the end of the console has a fault in it that is not told yet."""
        self.feed(b"\n")
        return self._sighting is not None

    def settle(self) -> None:
        """Tell a fault with the lines that have come."""
        with self._lock:
            sighting, self._sighting = self._sighting, None
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            if sighting is None or self._stopped:
                return
            self._system.is_dead = sighting.fault.severity is Severity.FATAL
            sighting.test_case = sighting.test_case or self._running_case()
            self._tell(sighting)

    def _take(self, raw: str) -> None:
        line = _ESCAPES.sub("", raw) if "\x1b" in raw else raw
        found = None if self._system.is_dead else self._find(line)
        if found is not None and found[0].name not in self._ignored:
            self._see(*found, line)
        elif self._sighting is not None:
            self._add(line)
        self._before.append(line)
        if "<LAVA_SIGNAL_" in line and (case := _CASE.search(line)):
            self._case = case["begun"]

    def _find(self, line: str) -> tuple[Fault, str] | None:
        """The fault that a line tells, and its message."""
        if (own := self._find_own(line)) is not None:
            return own
        system = self._system
        for stamp in _stamps(line):
            system.has_stamps = True
            found = self._at(Place.MESSAGE, line, stamp.end())
            if found is not None and self._is_news(line[stamp.start() :]):
                return found, line[stamp.end() :]
        places = [Place.START] if system.has_stamps else [Place.MESSAGE, Place.START]
        for place in places:
            if (found := self._at(place, line, 0)) is not None:
                return found, line
        return None

    def _find_own(self, line: str) -> tuple[Fault, str] | None:
        for fault, pattern in list(self._own.items()):
            try:
                if match := pattern.search(line):
                    return fault, line[match.start() :]
            except JobError as error:
                del self._own[fault]
                self._give_up(error)
        return None

    def _at(self, place: Place, line: str, start: int) -> Fault | None:
        fault = _MATCHERS[place].at(line, start)
        return fault if fault is None or self._system.is_up or not fault.when_up else None

    def _is_news(self, message: str) -> bool:
        """Whether a message with a time stamp has not been told before."""
        told = self._system.told
        if message in told:
            return False
        if len(told) < _REMEMBERED:
            told.add(message)
        return True

    def _see(self, fault: Fault, message: str, line: str) -> None:
        """Begin a sighting; within one that has begun only what is worse counts."""
        sighting = self._sighting
        if sighting is None:
            self._sighting = Sighting(
                fault=fault,
                line=message,
                lines=[*self._before, line],
                test_case=self._case or self._running_case(),
            )
            self._timer = threading.Timer(AFTERMATH_S, self.settle)
            self._timer.daemon = True
            self._timer.start()
            return
        if fault.severity.rank > sighting.fault.severity.rank:
            sighting.fault, sighting.line, sighting.room = fault, message, LINES_AFTER
        self._add(line)

    def _add(self, line: str) -> None:
        """Keep a line that follows a fault."""
        sighting = self._sighting
        assert sighting is not None, "something has been seen"
        sighting.lines.append(line)
        sighting.room -= 1
        if sighting.room == 0 or _LAST_WORDS in line:
            self.settle()


class _Matcher:
    """All faults of one place as one expression."""

    def __init__(self, place: Place) -> None:
        self._faults = [fault for fault in FAULTS if fault.place is place]
        parts = [f"(?P<f{number}>{fault.pattern})" for number, fault in enumerate(self._faults)]
        self._pattern = re.compile("|".join(parts))

    def at(self, line: str, start: int) -> Fault | None:
        """The fault that is told at this place of a line."""
        found = self._pattern.match(line, start)
        if found is None or found.lastgroup is None:
            return None
        return self._faults[int(found.lastgroup[1:])]


_MATCHERS = {place: _Matcher(place) for place in (Place.MESSAGE, Place.START)}


def _stamps(line: str) -> list[re.Match[str]]:
    """The time stamps by which messages of the kernel begin, perhaps in the midst of a line."""
    if "[" not in line:
        return []
    # What a shell shows of the commands that it runs is no message.
    shown = line.startswith("+")
    return [one for one in _STAMP.finditer(line) if not (shown and one.start())]
