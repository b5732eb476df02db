# SPDX-License-Identifier: MIT
"""The watch for faults on a console, which does not depend on the node's thread.

The thread that reads the console feeds it.  Only the kernel's own messages count.  On a terminal
behind SSH no kernel writes; on a serial console its messages nearly always begin with a time stamp.
The rules:

- Once a system has shown a time stamp, or has answered that its kernel writes them, a message
  without one is a test's output.
- Once the system is up, a message must not be earlier than the one before it, or later than now.
  The system is asked for its clock, which counts if the stamps of its boot fit it.  So the log of
  another machine, or of a VM that runs inside, does not count.
- A message with the same time stamp and words as an earlier one does not count: it is a test's
  ``dmesg``.
- While a system boots, all text is the system's.  So its unfinished line is searched as well:
  emergency shells show a prompt there.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from lava_vmgroup.base.console_faults import Fault, FaultPlace, FaultSeverity
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.console.escapes import plain
from lava_vmgroup.console.fault_matching import BARE, MATCHERS, Matcher, stamps

LINE_LIMIT = 1000
"""Characters of a line that are searched and kept."""
LINES_BEFORE = 10
LINES_AFTER = 60
AFTERMATH_S = 0.8
"""Seconds to wait for the lines after a fault; a call trace comes at once."""

_DISORDER_S = 10.0
"""Seconds that a message may be earlier than the one before: processors write at the same time."""
_DRIFT = 0.01
"""The share by which a system's clock may be faster than this machine's."""
_AHEAD_S = 60.0
"""Seconds that a kernel's clock for messages may be ahead of its uptime."""
_LAST_MESSAGE_S = 300.0
"""Seconds before its login in which a system must have shown a message, for its clock to count."""
_REMEMBERED = 1000
"""Number of fault messages that are remembered."""
_CASE = re.compile(r"<LAVA_SIGNAL_(?:STARTTC (?P<begun>[^>]*?)|ENDTC [^>]*)(?: CHECK=\d+)?>")
"""The begin or end of a test case; the records may come earlier or later than the console."""
_LAST_WORDS = "---[ end Kernel panic"


@dataclass(slots=True, kw_only=True)
class Sighting:
    """A fault on the console, to which the lines that follow it are added."""

    fault: Fault
    line: str
    """The line of the fault, from the beginning of the message."""
    lines: list[str]
    test_case: str | None
    room: int = LINES_AFTER
    """Number of lines that may still be added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelClock:
    """A system's answer about its kernel's clock and messages."""

    uptime_s: float
    asked_at: float
    """The time of the question, on this machine's monotonic clock."""
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
    has_died: bool = False
    """True if that fault ends every system; the job's own patterns may match a living one."""
    told: set[str] = field(default_factory=set)
    """Fault messages that have come, with their time stamps."""
    was_reset: Callable[[], bool] = lambda: True


class Watch:
    """The watch of one node's console; any thread may use it."""

    silence_s: float = 0.0
    """Seconds for which the console may be silent while text is expected; 0 is no limit."""
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
        """Look for all faults and the `added` ones, without those `ignored`.

        Calls `tell` once for each fault, when the lines after it have come.  If the pattern of an
        `added` fault takes too long, calls `give_up` and drops the fault.  `running_case` returns
        the test case that is running.
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
        """True if the last system has shown a fatal fault, and not by a pattern of the job."""
        return self._system.has_died

    def system_is_up(self, clock: KernelClock | None = None) -> None:
        """Treat every reset as a fault from now on; `clock` is the system's answer."""
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
        """Let `was_reset` decide if text of firmware is from this system or is a test's output.

        It is called by the thread that reads the console, which waits meanwhile, or by a timer.
        """
        self._system.was_reset = was_reset

    def expect_boot(self, *, ramdisk_is_system: bool) -> None:
        """Treat the text from now on as that of a system that boots.

        `ramdisk_is_system` is True if the system needs no root file system.  Drops the unfinished
        line of an earlier boot.
        """
        with self._lock:
            self._system = _System(is_booting=True, is_ramdisk=ramdisk_is_system)
            self._torn = b""

    def expect_reset(self) -> None:
        """Treat the text from now on as that of another system, perhaps of its firmware first."""
        self.settle()
        with self._lock:
            self._system, self._case = _System(), None

    def stop(self) -> None:
        """Report no more faults after a pending one: the system is being ended."""
        self.settle()
        self._stopped = True

    def feed(self, data: bytes) -> None:
        """Search text of the console for faults."""
        with self._lock:
            if self._stopped:
                return
            complete, newline, torn = data.rpartition(b"\n")
            if newline:
                complete, self._torn = self._torn + complete, b""
                for line in complete.decode(errors="replace").split("\n"):
                    self._take(line[:LINE_LIMIT].rstrip("\r"))
            # Only the beginning of a line that is too long is searched.
            self._torn = (self._torn + torn)[:LINE_LIMIT]
            if self._torn and self._system.is_booting and self._sighting is None:
                self._look_at_prompt(plain(self._torn.decode(errors="replace")))

    def sees_something(self) -> bool:
        """End the last line; return whether a fault is not reported yet."""
        self.feed(b"\n")
        return self._sighting is not None

    def settle(self) -> None:
        """Report the pending fault, if there is one, with the lines that have come."""
        with self._lock:
            sighting, self._sighting = self._sighting, None
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            if sighting is None or self._stopped or self._is_of_a_test(sighting.fault):
                return
            self._system.is_dead = sighting.fault.severity is FaultSeverity.FATAL
            self._system.has_died = self._system.is_dead and sighting.fault not in self._own
            sighting.test_case = sighting.test_case or self._running_case()
            self._tell(sighting)

    def _is_of_a_test(self, fault: Fault) -> bool:
        """Return whether a fault of firmware is a test's output: the system was not reset."""
        is_firmwares = fault.place is FaultPlace.START and fault.severity is FaultSeverity.FATAL
        return is_firmwares and self._system.is_up and not self._system.was_reset()

    def _look_at_prompt(self, line: str) -> None:
        """Search the unfinished line of a system that boots; the line may come again."""
        if self._system.is_dead or not self.hears_kernel:
            return
        found = self._at(FaultPlace.BOOT, line, 0)
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
        """Return the fault in a line, and its message; None if there is none."""
        if (own := self._find_own(line)) is not None:
            return own
        if not self.hears_kernel:
            return None
        system = self._system
        for stamp in stamps(line):
            if not self._can_be_now(float(stamp[1])):
                continue
            system.has_stamps = True
            found = self._at(FaultPlace.MESSAGE, line, stamp.end())
            if found is not None and self._is_news(line[stamp.start() :]):
                return found, line[stamp.end() :]
        if (
            not system.has_stamps
            and (found := self._at(FaultPlace.MESSAGE, line, 0, BARE)) is not None
        ):
            return found, line
        for place in (FaultPlace.START, FaultPlace.BOOT):
            if (found := self._at(place, line, 0)) is not None:
                return found, line.strip()
        return None

    def _can_be_now(self, stamp_s: float) -> bool:
        """Return whether the kernel of the running system can have written that time stamp by now.

        A console may show a kernel's messages late, but shows them in their order.
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
        self, place: FaultPlace, line: str, start: int, matcher: Matcher | None = None
    ) -> Fault | None:
        """Return the fault at `start` in a line; None if the system's state does not allow it."""
        system = self._system
        if place is FaultPlace.BOOT and not system.is_booting:
            return None
        fault = (matcher or MATCHERS[place]).at(line, start)
        if fault is None or (fault.when_up and not system.is_up):
            return None
        if fault.after and not any(re.search(fault.after, before) for before in self._before):
            return None
        if fault.of_ramdisk and system.is_ramdisk:
            return replace(fault, severity=FaultSeverity.NOTE)
        return fault

    def _is_news(self, message: str) -> bool:
        """Return whether a message with a time stamp comes for the first time, and remember it."""
        told = self._system.told
        if message in told:
            return False
        if len(told) < _REMEMBERED:
            told.add(message)
        return True

    def _see(self, fault: Fault, message: str, line: str) -> None:
        """Begin a sighting; if one has begun, only a worse fault replaces its fault."""
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
        """Add a line that follows a fault to its sighting; report the fault after the last one."""
        sighting = self._sighting
        assert sighting is not None, "something has been seen"
        sighting.lines.append(line)
        sighting.room -= 1
        if sighting.room == 0 or _LAST_WORDS in line:
            self.settle()
