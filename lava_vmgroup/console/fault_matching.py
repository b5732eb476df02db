# SPDX-License-Identifier: MIT
"""The search for faults, and for the time stamps of kernel messages, in one line of a console."""

from __future__ import annotations

import re

from lava_vmgroup.base.console_faults import FAULTS, Fault, FaultPlace

_STAMP = re.compile(r"(?<!['\"])\[ {0,9}(\d{1,9}\.\d{6})\](?:\[ {0,5}[TC]\d{1,9}\])? ")


class Matcher:
    """All faults of one place as one expression."""

    def __init__(self, place: FaultPlace, *, bare: bool = False) -> None:
        self._faults = [fault for fault in FAULTS if fault.place is place]
        patterns = [(bare and fault.bare) or fault.pattern for fault in self._faults]
        parts = [f"(?P<f{number}>{pattern})" for number, pattern in enumerate(patterns)]
        expression = re.compile("|".join(parts))
        self._find = expression.search if place is FaultPlace.BOOT else expression.match

    def at(self, line: str, start: int) -> Fault | None:
        """Return the fault whose pattern fits a line at `start`; those of a boot may fit later."""
        found = self._find(line, start)
        if found is None or found.lastgroup is None:
            return None
        return self._faults[int(found.lastgroup[1:])]


MATCHERS = {
    place: Matcher(place) for place in (FaultPlace.MESSAGE, FaultPlace.START, FaultPlace.BOOT)
}
BARE = Matcher(FaultPlace.MESSAGE, bare=True)


def stamps(line: str) -> list[re.Match[str]]:
    """Return the time stamps in a line, perhaps in its middle, at which kernel messages begin."""
    if "[" not in line:
        return []
    # A line with a plus sign is a command that a shell prints when it runs it, and no message.
    shown = line.startswith("+")
    return [one for one in _STAMP.finditer(line) if not (shown and one.start())]
