# SPDX-License-Identifier: MIT
"""Watches a console for faults, whatever the node's thread is doing.

The thread that reads the console feeds it.  Only the kernel's own messages count: on a terminal
behind SSH no kernel speaks, and on a serial console its messages begin with a time stamp nearly
everywhere.

- Once a system has shown a time stamp, or has said that its kernel writes them, a message without
  one is a test's output.
- Once the system is up, a message is not earlier than the one before it, and not later than now:
  the system is asked for its clock, which counts if the stamps of its boot fit it.  So the log of
  another machine, or of one that runs inside, is none of its messages.
- A message with the same time stamp and words is no news: it is a test's ``dmesg``.
- While a system boots, nothing but the system speaks, and its unfinished line is looked at as well:
  emergency shells show a prompt there.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from lava_vmgroup.base.console_faults import FAULTS, Fault, Place, Severity
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.console.escapes import plain

LINE_LIMIT = 1000
"""Characters of a line that are looked at and kept."""
LINES_BEFORE = 10
LINES_AFTER = 60
AFTERMATH_S = 0.8
"""Seconds to wait for the lines after a fault; a call trace comes at once."""

_STAMP = re.compile(r"(?<!['\"])\[ {0,9}(\d{1,9}\.\d{6})\](?:\[ {0,5}[TC]\d{1,9}\])? ")
_DISORDER_S = 10.0
"""Seconds that a message may be earlier than the one before: processors write at the same time."""
_DRIFT = 0.01
_AHEAD_S = 60.0
"""Seconds that a kernel's clock for messages may be ahead of its uptime."""
_LAST_MESSAGE_S = 300.0
"""Seconds before its login in which a system with such a clock must have shown a message."""
_REMEMBERED = 1000
_CASE = re.compile(r"<LAVA_SIGNAL_(?:STARTTC (?P<begun>[^>]*?)|ENDTC [^>]*)(?: CHECK=\d+)?>")
"""The begin or end of a test case; the records may be behind the console, or ahead of it."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelClock:
    """A system's answer about its kernel's clock and messages."""

    uptime_s: float
    asked_at: float
    """When it was asked, on this machine's monotonic clock."""
    has_stamps: bool


@dataclass(slots=True)
class _System:
    """The watch's knowledge of the system that runs."""

    is_booting: bool = False
    is_up: bool = False
    is_ramdisk: bool = False
    """True if the ramdisk is the whole system, so that it needs no root file system."""
    has_stamps: bool = False
    clock: KernelClock | None = None
    newest_s: float = 0.0
    """The latest time stamp that can be the kernel's."""
    is_dead: bool = False
    """True after a fatal fault was reported: later faults are no news."""
    told: set[str] = field(default_factory=set)
    """Messages with their time stamps."""
    was_reset: Callable[[], bool] = lambda: True


class Watch:
    """Tells faults of the systems on one node's console; may be used from any thread."""

    silence_s: float = 0.0
    """How long a console may say nothing while something is expected of it; 0 is for ever."""
    hears_kernel: bool = True
    """False on a terminal behind SSH, where no kernel writes: only the job's patterns count."""

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

    def system_is_up(self, clock: KernelClock | None = None) -> None:
        """Take every reset for a fault from now on; `clock` is the system's own."""
        with self._lock:
            system = self._system
            system.is_booting, system.is_up = False, True
            if clock is None:
                return
            system.has_stamps = system.has_stamps or clock.has_stamps
            if -_AHEAD_S <= clock.uptime_s - system.newest_s <= _LAST_MESSAGE_S:
                system.clock = clock
                system.newest_s = max(system.newest_s, clock.uptime_s)

    def ask_of_resets(self, was_reset: Callable[[], bool]) -> None:
        """Have `was_reset` decide if firmware's words are of this system, or a test's own output.

        It is asked by the thread that reads the console, which waits meanwhile, or by a timer.
        """
        self._system.was_reset = was_reset

    def expect_boot(self, *, ramdisk_is_system: bool) -> None:
        """Take what follows for a system that boots; it may need no more than its ramdisk.

        A console may have shown the end of an earlier boot before that.
        """
        with self._lock:
            self._system = _System(is_booting=True, is_ramdisk=ramdisk_is_system)
            self._torn = b""

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
            if self._torn and self._system.is_booting and self._sighting is None:
                self._look_at_prompt(plain(self._torn.decode(errors="replace")))

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
            if sighting is None or self._stopped or self._is_of_a_test(sighting.fault):
                return
            self._system.is_dead = sighting.fault.severity is Severity.FATAL
            sighting.test_case = sighting.test_case or self._running_case()
            self._tell(sighting)

    def _is_of_a_test(self, fault: Fault) -> bool:
        is_firmwares = fault.place is Place.START and fault.severity is Severity.FATAL
        return is_firmwares and self._system.is_up and not self._system.was_reset()

    def _look_at_prompt(self, line: str) -> None:
        """See a fault in the unfinished line of a system that boots; the line may come again."""
        if self._system.is_dead or not self.hears_kernel:
            return
        found = self._at(Place.BOOT, line, 0)
        if found is not None and found.name not in self._ignored and self._is_news(line):
            self._see(found, line.strip(), line)

    def _take(self, raw: str) -> None:
        line = plain(raw)
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
        if not self.hears_kernel:
            return None
        system = self._system
        for stamp in _stamps(line):
            if not self._can_be_now(float(stamp[1])):
                continue
            system.has_stamps = True
            found = self._at(Place.MESSAGE, line, stamp.end())
            if found is not None and self._is_news(line[stamp.start() :]):
                return found, line[stamp.end() :]
        if not system.has_stamps and (found := self._at(Place.MESSAGE, line, 0, _BARE)) is not None:
            return found, line
        for place in (Place.START, Place.BOOT):
            if (found := self._at(place, line, 0)) is not None:
                return found, line.strip()
        return None

    def _can_be_now(self, stamp_s: float) -> bool:
        """Return whether the kernel of the running system can have written that time stamp by now.

        A console shows a kernel's messages in their order, however late.
        """
        system = self._system
        if system.is_up and stamp_s < system.newest_s - _DISORDER_S:
            return False
        if system.clock is not None:
            passed_s = time.monotonic() - system.clock.asked_at
            if stamp_s > system.clock.uptime_s + passed_s * (1 + _DRIFT) + _AHEAD_S:
                return False
        # A kernel that starts anew before the system is up begins at 0 again.
        system.newest_s = max(system.newest_s, stamp_s) if system.is_up else stamp_s
        return True

    def _find_own(self, line: str) -> tuple[Fault, str] | None:
        for fault, pattern in list(self._own.items()):
            try:
                if match := pattern.search(line):
                    return fault, line[match.start() :]
            except JobError as error:
                del self._own[fault]
                self._give_up(error)
        return None

    def _at(
        self, place: Place, line: str, start: int, matcher: _Matcher | None = None
    ) -> Fault | None:
        system = self._system
        if place is Place.BOOT and not system.is_booting:
            return None
        fault = (matcher or _MATCHERS[place]).at(line, start)
        if fault is None or (fault.when_up and not system.is_up):
            return None
        if fault.after and not any(re.search(fault.after, before) for before in self._before):
            return None
        if fault.of_ramdisk and system.is_ramdisk:
            return replace(fault, severity=Severity.NOTE)
        return fault

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

    def __init__(self, place: Place, *, bare: bool = False) -> None:
        self._faults = [fault for fault in FAULTS if fault.place is place]
        patterns = [(bare and fault.bare) or fault.pattern for fault in self._faults]
        parts = [f"(?P<f{number}>{pattern})" for number, pattern in enumerate(patterns)]
        expression = re.compile("|".join(parts))
        self._find = expression.search if place is Place.BOOT else expression.match

    def at(self, line: str, start: int) -> Fault | None:
        """The fault that is told at this place of a line."""
        found = self._find(line, start)
        if found is None or found.lastgroup is None:
            return None
        return self._faults[int(found.lastgroup[1:])]


_MATCHERS = {place: _Matcher(place) for place in (Place.MESSAGE, Place.START, Place.BOOT)}
_BARE = _Matcher(Place.MESSAGE, bare=True)


def _stamps(line: str) -> list[re.Match[str]]:
    """The time stamps by which messages of the kernel begin, perhaps in the midst of a line."""
    if "[" not in line:
        return []
    # What a shell shows of the commands that it runs is no message.
    shown = line.startswith("+")
    return [one for one in _STAMP.finditer(line) if not (shown and one.start())]
