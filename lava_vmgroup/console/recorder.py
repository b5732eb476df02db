# SPDX-License-Identifier: MIT
"""Keeping every byte that a console said, whatever becomes of the job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


class Recorder:
    """Appends raw bytes to a node's ``console.log``, written out chunk by chunk."""

    def __init__(self, path: Path, copy: Callable[[bytes], None] | None = None) -> None:
        """Begins with an empty file; `copy` gets whatever is written, too."""
        self._path = path
        self._copy = copy
        self._path.write_bytes(b"")
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Append `data`."""
        if self._file is None:
            self._file = self._path.open("ab", buffering=0)
        self._file.write(data)
        if self._copy is not None:
            self._copy(data)

    def close(self) -> None:
        """Close the file; it opens again when more comes."""
        if self._file is not None:
            self._file.close()
            self._file = None
