# SPDX-License-Identifier: MIT
"""Reads the marker lines that a node's test shell prints on its console.

The rules, and their reasons:

1. The markers are LAVA's.  A marker may stand anywhere in a line: kernel text, a prompt or a
   command's unfinished output may precede it.
2. LAVA types ``echo LAVA_ACK`` after every signal.  Nothing here needs that, so signals are not
   answered.
3. The reply to a MultiNode call is typed as one line if that can carry it (``replies``).
4. Two forms are not LAVA's: parts, for data that one line cannot carry (``parts``), and the number
   and check around the markers that helpers print in a test (``records``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from lava_vmgroup.results.printable import one_line
from lava_vmgroup.testshell.events import (
    Blocked,
    Damaged,
    EndRun,
    EndTestCase,
    Event,
    InstallFailed,
    Malformed,
    MultiNodeApi,
    MultiNodeCall,
    PartWanted,
    Recorded,
    RunnerExited,
    RunnerReturned,
    RunnerStarted,
    SendPart,
    Settle,
    StartRun,
    StartTestCase,
    TestExited,
    TestRaised,
    TestRemark,
    TestSet,
)
from lava_vmgroup.testshell.parts import Part, decode, parse_part
from lava_vmgroup.testshell.patterns import parse_arguments
from lava_vmgroup.testshell.records import (
    Place,
    damaged_call,
    find_record,
    holds_damaged_record,
)
from lava_vmgroup.testshell.tears import torn_marker, without_kernel
from lava_vmgroup.testshell.verdicts import (
    KERNEL_TEXT,
    kernel_text_in_value,
    parse_reference,
    parse_test_case,
)

MAX_WORDS_LENGTH = 4000
"""Characters between a marker's name and its end; a longer marker is malformed."""

_MAX_OPEN = 16
"""Number of messages of one console that may be incomplete at once."""

_SIGNAL = re.compile(
    r"<LAVA_SIGNAL_([A-Z_]{1,40})"
    rf"(?: ((?:[^<>]|<(?!LAVA_|\d{{1,4}}\.\d{{1,6}}<LAVA_)){{0,{MAX_WORDS_LENGTH}}}))?>"
)
_CALL = re.compile(
    rf"<LAVA_MULTI_NODE> <LAVA_([A-Z_]{{1,40}})(?: ([^<>]{{0,{MAX_WORDS_LENGTH}}}))?>"
)
_RUNNER = re.compile(
    r"<LAVA_TEST_RUNNER>: (?:"
    r"(?P<started>started)"
    r"|(?P<exiting>exiting)"
    r"|returned (?P<status>\d{1,3})"
    r"|(?P<failed>\S{1,200}) installer failed(?P<early> early)?"
    r"|(?P<exited>\S{1,200}) exited with: (?P<code>\d{1,10}|unknown|early)"
    r")"
)
_MARKER = re.compile(r"(?:<\d{1,4}\.\d{1,6})?<LAVA_")
_UNFINISHED = re.compile(
    r"<LAVA_(?:SIGNAL_|MULTI_NODE> <LAVA_(?P<api>SEND|SYNC|WAIT_ALL|WAIT)(?:_PART)? )"
    r"[^<>%][^<>]{0,40}"
)


def parse_signal(line: str, *, torn: bool = True) -> Event | None:
    """Return the event of a console line (without its line end); None if it has no marker.

    A marker that breaks the rules gives `Malformed`.  Of several markers, the first counts.  If the
    marker cannot have been `torn`, kernel text in it was printed by the test.
    """
    matches = [match for pattern in _PARSERS if (match := pattern.search(line))]
    if matches:
        first = min(matches, key=re.Match.start)
        if torn and first.re is _SIGNAL and _is_torn(first):
            return Malformed(text=first[0], reason=f"unexpected words for {first[1]}")
        return _PARSERS[first.re](first)
    unfinished = _UNFINISHED.search(line)
    if unfinished is None:
        return None
    return Malformed(
        text=unfinished[0],
        reason=f"the marker has no end within {MAX_WORDS_LENGTH} characters",
        api=MultiNodeApi(unfinished["api"]) if unfinished["api"] else None,
    )


def single_markers(line: str) -> list[str]:
    """Cut a line behind each marker: a test may print more after it without a line end.

    If the last marker holds kernel text, the rest of the line is the kernel's and stays with it.
    """
    last = line.rfind("<LAVA_")
    ends = {
        found.end()
        for kind in (_SIGNAL, _CALL)
        for found in kind.finditer(line)
        if found.end() <= last or not KERNEL_TEXT.search(found[0])
    }
    cuts = sorted({0, *ends, len(line)})
    return [line[start:end] for start, end in pairwise(cuts)] or [line]


class SignalParser:
    """A parser that turns the lines of one console into events.

    It puts calls together that come in parts, and mends markers that the kernel tore.  The kernel
    writes to a console at any time, even into the middle of a marker.  Then one line has the
    marker's beginning and the kernel's text, and the next line has the marker's rest.
    """

    def __init__(self) -> None:
        self.output = ""
        """The test's own part of the last line: the text in front of a marker."""
        self._torn = ""
        self._open: dict[str, dict[int, str]] = {}

    def feed(self, line: str) -> Event | None:
        """Return the event of the next line, as `parse_signal`; the lines before may begin it."""
        torn, self._torn = self._torn, ""
        event = _told(torn + line)
        if event is None or isinstance(event, Malformed | Damaged):
            start, self._torn = torn_marker(torn + line, MAX_WORDS_LENGTH)
            if self._torn:
                self.output = without_kernel((torn + line)[len(torn) : start])
                return None
        self.output = _output(torn, line, event)
        if holds_damaged_record(torn) and isinstance(event, Damaged):
            # This line does not mend the record that was torn before; it may be something else.
            event = _told(line) or event
        return self._put_together(event.part) if isinstance(event, SendPart) else event

    def _put_together(self, part: Part) -> Event:
        """Keep a part; return the whole call if it was the last missing one, else `SendPart`.

        The parts of a record may come again, in any order.  Other parts come once: if the last part
        comes and another one is missing, the message is `Malformed`.
        """
        place = Place.of_word(part.name)
        texts = self._open.pop(part.name, {})
        if part.number == 1 and place is None:
            texts = {}
        texts[part.number] = part.text
        if len(texts) == part.count:
            sent = _sent([texts[number] for number in sorted(texts)])
            return sent if place is None else Recorded(place=place, event=sent)
        self._open[part.name] = texts
        if len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]
        if part.number < part.count or place is not None:
            return SendPart(part=part)
        return Malformed(
            text=f"part {part.number} of {part.count}",
            reason=f"a message is not sent: not all of its {part.count} parts came undamaged",
            api=MultiNodeApi.SEND,
        )


def _told(line: str) -> Event | None:
    """Return the event of a line; `Recorded` if the line has a record."""
    record = find_record(line)
    if record is not None:
        return Recorded(place=record.place, event=parse_signal(record.text, torn=False))
    if holds_damaged_record(line):
        return Damaged(text=line, call=damaged_call(line))
    return parse_signal(line)


def _sent(texts: Sequence[str]) -> Event:
    message_id, *arguments = decode(texts)
    try:
        parse_arguments(arguments)
    except ValueError as error:
        return Malformed(text=message_id, reason=str(error), api=MultiNodeApi.SEND)
    return MultiNodeCall(api=MultiNodeApi.SEND, message_id=message_id, arguments=tuple(arguments))


def _output(torn: str, line: str, event: Event | None) -> str:
    """Return the test's own output in `torn` and `line`, which together held `event`."""
    if event is None:
        return line
    starts = (found.start() for found in _MARKER.finditer(torn + line))
    start = next((start for start in starts if start >= len(torn)), None)
    if start is not None:
        return without_kernel((torn + line)[len(torn) : start])
    if isinstance(event, Malformed) or (isinstance(event, Damaged) and " CHECK=" not in line):
        return line  # it does not mend the torn marker
    return ""


def _runner_event(match: re.Match[str]) -> Event:
    if match["started"]:
        return RunnerStarted()
    if match["exiting"]:
        return RunnerExited()
    if match["status"]:
        return RunnerReturned(status=int(match["status"]))
    if match["failed"]:
        return InstallFailed(directory=match["failed"], early=bool(match["early"]))
    code = match["code"]
    if code == "early":
        return TestExited(directory=match["exited"], return_code=0, early=True)
    return TestExited(
        directory=match["exited"], return_code=int(code) if code != "unknown" else None
    )


def _is_torn(match: re.Match[str]) -> bool:
    """Return whether a kernel's line tore the marker; then the ``>`` may be the kernel's."""
    if match[1] in _NAMING:
        return bool(KERNEL_TEXT.search(match[2] or ""))
    return match[1] in _JUDGING and kernel_text_in_value(one_line(match[2] or ""))


def _signal_event(match: re.Match[str]) -> Event | None:
    parse = _SIGNALS.get(match[1])
    if parse is None:
        return None
    words = one_line(match[2] or "")
    return parse(words) or Malformed(text=match[0], reason=f"unexpected words for {match[1]}")


def _call_event(match: re.Match[str]) -> Event:
    text, name, words = match[0], match[1], (match[2] or "").split()
    if name in _PART_EVENTS:
        return _PART_EVENTS[name](match)
    if name not in {api.value for api in MultiNodeApi}:
        return Malformed(text=text, reason=f"no MultiNode call is named {name}")
    api = MultiNodeApi(name)
    if not (match[2] or "").isprintable():
        return Malformed(text=text, reason="it has control characters", api=api)
    if not 1 <= len(words) <= 1 + _MAX_ARGUMENTS[api]:
        return Malformed(text=text, reason=f"unexpected number of words for {name}", api=api)
    if api is MultiNodeApi.SEND:
        try:
            parse_arguments(words[1:])
        except ValueError as error:
            return Malformed(text=text, reason=str(error), api=api)
    return MultiNodeCall(api=api, message_id=words[0], arguments=tuple(words[1:]))


def _send_part(match: re.Match[str]) -> Event:
    words = match[2] or ""
    part = parse_part(words)
    if part is None and Place.of_word(words.partition(" ")[0]) is not None:
        return Damaged(text=match[0])
    if part is None:
        return Malformed(
            text=match[0], reason="a part of a message is damaged", api=MultiNodeApi.SEND
        )
    return SendPart(part=part)


def _part_wanted(match: re.Match[str]) -> Event:
    wanted = _WANTED.fullmatch(match[2] or "")
    if wanted is None:
        return Malformed(text=match[0], reason="unexpected words for WANT_PART")
    return PartWanted(transfer=wanted[1], number=int(wanted[2]), again=bool(wanted[3]))


def _run_words(words: str) -> dict[str, str] | None:
    """Return the name and the UUID of a test run; None if one is missing."""
    name, _, uuid = words.rpartition(" ")
    return {"name": name, "uuid": uuid} if name else None


def _blocked(match: re.Match[str]) -> Event:
    place = Place.of_word((match[2] or "").replace(".", "_"))
    if place is None:
        return Malformed(text=match[0], reason="unexpected words for BLOCKED")
    return Blocked(place=place)


def _start_run(words: str) -> StartRun | None:
    return StartRun(**run) if (run := _run_words(words)) else None


def _end_run(words: str) -> EndRun | None:
    return EndRun(**run) if (run := _run_words(words)) else None


def _test_set(words: str) -> TestSet | None:
    """Return the set that begins or ends; as in LAVA, words after STOP are ignored."""
    action, _, name = words.partition(" ")
    if action == "START" and name:
        return TestSet(name=name)
    return TestSet(name=None) if action == "STOP" else None


_MAX_ARGUMENTS = {
    MultiNodeApi.SEND: MAX_WORDS_LENGTH,
    MultiNodeApi.SYNC: 0,
    MultiNodeApi.WAIT: 0,
    MultiNodeApi.WAIT_ALL: 1,
}
_SIGNALS: Mapping[str, Callable[[str], Event | None]] = {
    "STARTRUN": _start_run,
    "ENDRUN": _end_run,
    "STARTTC": lambda words: StartTestCase(test_case_id=words) if words else None,
    "ENDTC": lambda words: EndTestCase(test_case_id=words) if words else None,
    "TESTCASE": parse_test_case,
    "TESTREFERENCE": parse_reference,
    "TESTRAISE": lambda words: TestRaised(message=words) if words else None,
    "TESTEVENT": lambda words: TestRemark(message=words),
    "TESTSET": _test_set,
}
_NAMING = frozenset({"STARTRUN", "ENDRUN", "STARTTC", "ENDTC", "TESTSET"})
"""Markers that hold only a name: if kernel text is in one, the kernel tore it."""
_JUDGING = frozenset({"TESTCASE", "TESTREFERENCE"})
"""Markers of verdicts: if kernel text is in a value, the kernel tore the marker.  The name of a
test case may be any text."""
_WANTED = re.compile(r"(\w{1,20}) (\d{1,5})( again)?")
_PART_EVENTS: Mapping[str, Callable[[re.Match[str]], Event]] = {
    "BLOCKED": _blocked,
    "SETTLE": lambda _: Settle(),
    "SEND_PART": _send_part,
    "WANT_PART": _part_wanted,
}
_PARSERS: Mapping[re.Pattern[str], Callable[[re.Match[str]], Event | None]] = {
    _SIGNAL: _signal_event,
    _CALL: _call_event,
    _RUNNER: _runner_event,
}
