# SPDX-License-Identifier: MIT
"""Keeping what a console said, whatever becomes of the job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lava_vmgroup.base.bounded_file import BoundedFile


class Recorder:
    """Appends raw bytes to a node's ``console.log``, written out chunk by chunk."""

    def __init__(self, path: Path, copy: Callable[[bytes], None] | None = None) -> None:
        """Begins with an empty file; `copy` gets whatever is written, too."""
        self._copy = copy
        self._file = BoundedFile(path)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._file.write(data)
        if self._copy is not None:
            self._copy(data)

    def close(self) -> None:
        """Close the file; it opens again when more comes."""
        self._file.close()
