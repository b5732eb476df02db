# SPDX-License-Identifier: MIT
"""Events of a job: told once, and shown to people, kept for machines.

A `NodeLog` gives each event its node and kind through the standard `logging` module; handlers
decide who reads it: a plain line on stderr, a line of ``events.jsonl``, the live display.
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

# Libraries quote in their records what the other side sent, and what nobody handles goes to the
# terminal as it is.  What they have to say is raised, too.
logging.getLogger().addHandler(logging.NullHandler())


class NodeLog:
    """Tells events of one node (or of the whole job, when `node` is empty)."""

    def __init__(self, node: str = "") -> None:
        self.node = node

    def event(self, kind: str, message: str, *, level: int = logging.INFO, **fields: Any) -> None:
        """Tell one event: `kind` and `fields` are for machines, `message` is for people.

        None of them is told with secrets.
        """
        extra = {"node": self.node, "kind": kind, "fields": masked(fields)}
        LOGGER.log(level, "%s", masked(message), extra=extra)

    def debug(self, kind: str, message: str, **fields: Any) -> None:
        """Tell an event that only someone who looks for a fault wants to read."""
        self.event(kind, message, level=logging.DEBUG, **fields)

    def warning(self, kind: str, message: str, **fields: Any) -> None:
        """Tell an event that did not go as it should, though the work goes on."""
        self.event(kind, message, level=logging.WARNING, **fields)


class LineFormatter(logging.Formatter):
    """One line per event for people: time, level, node, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Render `record`; only warnings and worse name their level."""
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        node = getattr(record, "node", "")
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{moment} {f'{node}: ' if node else ''}{level}{record.getMessage()}"


class JsonLinesHandler(logging.Handler):
    """Appends every event to a file, one JSON object a line, written out at once."""

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
    """The event that stands in the place of others."""
    message = f"{count} bytes of events are left out here"
    return _json_line(_entry("WARNING", "", "left-out", message))
