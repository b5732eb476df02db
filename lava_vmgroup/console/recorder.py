# SPDX-License-Identifier: MIT
"""The record of a console, kept however the job ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lava_vmgroup.base.bounded_file import BoundedFile


class Recorder:
    """A node's ``console.log``, to which raw bytes are written chunk by chunk."""

    def __init__(self, path: Path, copy: Callable[[bytes], None] | None = None) -> None:
        """Begin with an empty file; every chunk is also given to `copy`."""
        self.path = path
        self._copy = copy
        self._file = BoundedFile(path)

    def beside(self, name: str) -> Recorder:
        """Return the record of another port of the same board."""
        return Recorder(self.path.with_name(f"console-{name}.log"))

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._file.write(data)
        if self._copy is not None:
            self._copy(data)

    def close(self) -> None:
        """Close the file; the next `write` opens it again."""
        self._file.close()
