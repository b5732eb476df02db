# SPDX-License-Identifier: MIT
"""The display of a running job on the terminal.

On a terminal every node has one line that changes in place: its state, its current action or test,
and the time that this has taken.  The lines follow the events that `lava_vmgroup.base.log` logs, so
no other code depends on the display.  If lines cannot change in place (in a file, a pipe, or a
terminal of ``TERM=dumb``), every event is a line of its own.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any

from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lava_vmgroup.base.log import LOGGER, LineFormatter
from lava_vmgroup.results.printable import one_line, printable

_STATE_STYLES = {
    "Complete": "green",
    "Incomplete": "red",
    "Canceled": "yellow",
    "Skipped": "yellow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLine:
    """The line of one node; times are those of the display's clock, in seconds."""

    node: str
    role: str = ""
    state: str = ""
    progress: str = ""
    action: str = ""
    run: str = ""
    case: str = ""
    began: float
    action_began: float = 0.0
    run_began: float = 0.0
    ended: float | None = None

    def current(self) -> str:
        """Return the current test of the node, else its action, else an empty text."""
        if self.run and self.case:
            return f"{self.run}: {self.case}"
        return self.run or self.action

    def seconds(self, now: float) -> float:
        """Return the seconds of the current test or action; of the whole run once it has ended."""
        if self.ended is not None:
            return self.ended - self.began
        if self.run:
            return now - self.run_began
        return now - (self.action_began if self.action else self.began)


def advanced(line: NodeLine, kind: str, fields: Mapping[str, Any], now: float) -> NodeLine:
    """Return the line after an event of its node; other kinds of events do not change it."""
    text = {key: str(value) for key, value in fields.items()}
    idle = replace(line, state="", progress="", action="", run="", case="")
    match kind:
        case "node-start":
            return replace(idle, role=text.get("role", ""), state="starting", began=now)
        case "action-start":
            return replace(idle, action=text.get("command", ""), action_began=now)
        case "action-end":
            return idle
        case "state" | "waiting":
            return replace(line, state=text.get("state", ""), progress="")
        case "run-start":
            return replace(line, run=text.get("name", ""), case="", run_began=now)
        case "run-end":
            return replace(line, run="", case="")
        case "test-case":
            return replace(line, case=f"{text.get('name', '')} {text.get('result', '')}")
        case "progress":
            return replace(line, progress=_progress(fields))
        case "node-end":
            return replace(idle, state=text.get("state", ""), ended=now)
    return line


def _progress(fields: Mapping[str, Any]) -> str:
    what, done, total = fields.get("what", ""), fields.get("done") or 0, fields.get("total") or 0
    if not total:
        return f"{what} {decimal(done)}"
    return "" if done >= total else f"{what} {done / total:.0%} of {decimal(total)}"


class PlainLineFormatter(LineFormatter):
    """A formatter of lines for people, without the terminal escapes that messages may quote."""

    def format(self, record: logging.LogRecord) -> str:
        """Render `record`."""
        return printable(super().format(record))


class LiveDisplay(logging.Handler):
    """A log handler that keeps a line for each node, and prints records of `print_level` and worse.

    Reads events of every level.  The refreshing thread of `rich.live` calls `render` while node
    threads emit.  So a line is never changed, but replaced as a whole.
    """

    def __init__(
        self,
        console: Console,
        *,
        print_level: int = logging.WARNING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(PlainLineFormatter())
        self._console = console
        self._print_level = print_level
        self._clock = clock
        self._lines: dict[str, NodeLine] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Update the line of the event's node, and print the event if its level is high enough."""
        try:
            self._follow(record)
            if record.levelno >= self._print_level:
                self._print(record)
        except Exception:  # noqa: BLE001 (a line that cannot be shown must not end the job)
            self.handleError(record)

    def render(self) -> Table:
        """Return the present lines as a table, in the order of the nodes' first events."""
        now = self._clock()
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        for line in list(self._lines.values()):
            state = ", ".join(part for part in (line.state, line.progress) if part)
            table.add_row(
                Text(one_line(line.node), "bold"),
                Text(one_line(line.role)),
                Text(one_line(state), _STATE_STYLES.get(line.state, "")),
                Text(one_line(line.current())),
                Text(f"{line.seconds(now):.0f} s"),
            )
        return table

    def _follow(self, record: logging.LogRecord) -> None:
        node, kind = getattr(record, "node", ""), getattr(record, "kind", "")
        line = self._lines.get(node)
        now = self._clock()
        if kind == "node-start" or (kind == "waiting" and line is None):
            line = NodeLine(node=node, began=now)
        # Events of a node's clean-up must not hide its final state.
        if line is not None and line.ended is None:
            self._lines[node] = advanced(line, kind, getattr(record, "fields", {}), now)

    def _print(self, record: logging.LogRecord) -> None:
        style = "red" if record.levelno >= logging.ERROR else ""
        if record.levelno == logging.WARNING:
            style = "yellow"
        self._console.print(Text(self.format(record), style), soft_wrap=True)


@contextmanager
def log_to_terminal(level: int, stream: IO[str]) -> Iterator[None]:
    """Show the project's events on `stream` within the block.

    A terminal gets live lines, with warnings and errors above them; with a `level` below INFO,
    all events of that level and worse are printed above them.  Any other stream gets a line for
    each event of `level` and worse, and so does a terminal with a `level` above INFO.
    """
    console = Console(file=stream)
    # FORCE_COLOR makes rich take a log file for a terminal, so the stream is asked as well.
    if level <= logging.INFO and stream.isatty() and console.is_interactive:
        with _live(level, stream, console):
            yield
        return
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    handler.setFormatter(PlainLineFormatter())
    with attached(handler):
        yield


@contextmanager
def _live(level: int, stream: IO[str], console: Console) -> Iterator[None]:
    print_level = level if level < logging.INFO else logging.WARNING
    display = LiveDisplay(console, print_level=print_level)
    live = Live(
        get_renderable=display.render,
        console=console,
        transient=True,
        # Text on stderr would tear the live lines, so rich prints it above them.  Standard output
        # may be a file.
        redirect_stdout=False,
        redirect_stderr=stream is sys.stderr,
    )
    with live, attached(display):
        yield


@contextmanager
def attached(handler: logging.Handler) -> Iterator[None]:
    """Give `handler` the project's events of its level and worse within the block."""
    before = LOGGER.level
    LOGGER.setLevel(min(LOGGER.getEffectiveLevel(), handler.level))
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before)
