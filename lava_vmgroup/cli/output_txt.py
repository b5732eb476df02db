# SPDX-License-Identifier: MIT
"""``output.txt``: the log as LAVA's scheduler shows it, with the console's output in between.

The lines are those of LAVA v1's dispatcher: ``<LAVA_DISPATCHER>``, the local time, the level and
the message, in which ``[ACTION-B]`` and ``[ACTION-E]`` mark where an action begins and ends.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from pathlib import Path

from lava_vmgroup.base.bounded_file import BoundedFile
from lava_vmgroup.base.clock import now
from lava_vmgroup.base.errors import ConfigurationError, DeviceInUse, VMGroupError
from lava_vmgroup.base.text import legible
from lava_vmgroup.cli.output_folder import locked

NAME = "output.txt"

_MARKERS = {"action-start": "[ACTION-B] ", "action-end": "[ACTION-E] "}


class OutputText(logging.Handler):
    """A log handler that appends events and the output of consoles to the file, from any thread."""

    def __init__(self, folder: Path) -> None:
        """Make an empty file in `folder`.  Raises `OSError`."""
        super().__init__(logging.INFO)
        self._file = BoundedFile(folder / NAME)
        self._writing = threading.RLock()  # a failed write logs an event, which comes here again
        self._at_line_start = True

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event."""
        moment = now().astimezone().strftime("%Y-%m-%d %I:%M:%S %p")
        marker = _MARKERS.get(getattr(record, "kind", ""), "")
        node = f"{name}: " if (name := getattr(record, "node", "")) else ""
        text = f"<LAVA_DISPATCHER>{moment} {record.levelname}: {marker}{node}{record.getMessage()}"
        self._write(f"{legible(text)}\n".encode(), begins_line=True)

    def console(self, data: bytes) -> None:
        """Write the output of a console."""
        self._write(data, begins_line=False)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _write(self, data: bytes, *, begins_line: bool) -> None:
        """Append `data`; with `begins_line`, end the console's unfinished line first."""
        if not data:
            return
        with self._writing:
            torn = begins_line and not self._at_line_start
            self._file.write(b"\n" + data if torn else data)
            self._at_line_start = data.endswith(b"\n")


def add_refusal(folder: Path, error: VMGroupError) -> None:
    """Append the reason why nothing was run, for readers who see only this file.

    Leaves the file of a job that runs alone.  Ignores errors of the file, as the reason also goes
    to standard error.
    """
    with suppress(OSError, ConfigurationError, DeviceInUse), locked(folder):
        kind = "Configuration error: " if isinstance(error, ConfigurationError) else ""
        with (folder / NAME).open("a", encoding="utf-8") as file:
            file.write(f"{kind}{legible(error.describe())}\n")
