# SPDX-License-Identifier: MIT
"""Events of a job: logged once, for people and for programs.

A `NodeLog` passes each event, with its node and kind, to the standard `logging` module.  Handlers
write it: as a plain line to stderr, as a line of ``events.jsonl``, or to the live display.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from lava_vmgroup.base.bounded_file import BoundedFile
from lava_vmgroup.base.clock import now
from lava_vmgroup.base.masking import masked
from lava_vmgroup.base.text import json_text

LOGGER = logging.getLogger("lava_vmgroup")

# Without a handler here, Python would print libraries' warnings on the terminal.  They quote the
# other side's bytes unescaped, and the libraries raise the same problems as exceptions.
logging.getLogger().addHandler(logging.NullHandler())


class NodeLog:
    """The log of one node, or of the whole job if `node` is empty."""

    def __init__(self, node: str = "") -> None:
        self.node = node

    def event(self, kind: str, message: str, *, level: int = logging.INFO, **fields: Any) -> None:
        """Log one event: `kind` and `fields` are for programs, `message` is for people.

        Secrets in `message` and `fields` are masked.
        """
        extra = {"node": self.node, "kind": kind, "fields": masked(fields)}
        LOGGER.log(level, "%s", masked(message), extra=extra)

    def debug(self, kind: str, message: str, **fields: Any) -> None:
        """Log an event that helps only in the search for a fault."""
        self.event(kind, message, level=logging.DEBUG, **fields)

    def warning(self, kind: str, message: str, **fields: Any) -> None:
        """Log a failure after which the work goes on."""
        self.event(kind, message, level=logging.WARNING, **fields)


class LineFormatter(logging.Formatter):
    """Formats an event as one line for people: time, node, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`; only warnings and worse name their level."""
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        node = getattr(record, "node", "")
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{moment} {f'{node}: ' if node else ''}{level}{record.getMessage()}"


class JsonLinesHandler(logging.Handler):
    """A handler that appends every event to a file unbuffered, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.DEBUG)
        self._file = BoundedFile(path, _left_out)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event."""
        fields = getattr(record, "fields", {})
        node, kind = getattr(record, "node", ""), getattr(record, "kind", "log")
        entry = _entry(record.levelname, node, kind, record.getMessage())
        self._file.write(_json_line({**entry, **fields}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _entry(level: str, node: str, kind: str, message: str) -> dict[str, Any]:
    return {
        "time": now().isoformat(),
        "level": level,
        "node": node,
        "kind": kind,
        "message": message,
    }


def _json_line(entry: dict[str, Any]) -> bytes:
    return f"{json_text(entry)}\n".encode()


def _left_out(count: int) -> bytes:
    """Return the line that takes the place of `count` bytes of events."""
    message = f"{count} bytes of events are left out here"
    return _json_line(_entry("WARNING", "", "left-out", message))
