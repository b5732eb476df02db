# SPDX-License-Identifier: MIT
"""Log files of a limited size: whoever floods a log fills no disk, and hides nothing by it."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

LIMIT = 128 << 20
"""Bytes of one log: three hours of a serial line that never rests."""

_LOGGER = logging.getLogger(__name__)

_SEARCHED = 65536
"""How far from where a log is cut the end of a line is looked for."""


def in_words(left_out: int) -> bytes:
    """What stands in a text where `left_out` bytes were."""
    return b"\n[lava_vmgroup: %d bytes are left out here]\n" % left_out


class BoundedFile:
    """A file to append to that loses its middle, in whole lines, when it becomes too large.

    The first half of the limit stays, as does what was written last: the boot, and the end.
    """

    def __init__(
        self, path: Path, notice: Callable[[int], bytes] = in_words, limit: int = LIMIT
    ) -> None:
        """Begins with an empty file; `notice` says how many bytes are missing where it stands."""
        self._path = path
        self._notice = notice
        self._limit = limit
        self._size = 0
        self._kept = 0
        """Where the part that stays ends, once something was left out."""
        self._left_out = 0
        self._missed = 0
        """What the disk did not take since it last took something."""
        self._path.write_bytes(b"")
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Append `data`, not later than at once; what the disk does not take is left out, too."""
        missed = self._notice(self._missed) if self._missed else b""
        try:
            self._append(missed + data)
        except OSError as error:
            self._missed += len(data)
            if not missed:
                # Perhaps this file's own handler is told, and gets here again.
                _LOGGER.warning("%s is not complete: %s", self._path, error.strerror)
        else:
            self._missed = 0

    def _append(self, data: bytes) -> None:
        """Append all of `data` or nothing; raises `OSError`."""
        if self._file is None:
            self._file = self._path.open("r+b", buffering=0)
            self._file.seek(0, os.SEEK_END)
        if self._file.write(data) < len(data):
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(data)
        if self._size > self._limit:
            self._leave_out(self._file)

    def close(self) -> None:
        """Close the file; it opens again when more comes."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _leave_out(self, file: BinaryIO) -> None:
        """Remove what is between the beginning and the newest lines."""
        noticed = len(self._notice(self._left_out)) if self._left_out else 0
        if not self._left_out:
            half = self._limit // 2
            before = os.pread(file.fileno(), min(half, _SEARCHED), max(half - _SEARCHED, 0))
            self._kept = half - len(before) + before.rfind(b"\n") + 1 if b"\n" in before else half
        newest = os.pread(file.fileno(), self._limit // 4, self._size - self._limit // 4)
        line_end = newest.find(b"\n", 0, _SEARCHED)
        newest = newest[line_end + 1 :]
        self._left_out += self._size - self._kept - noticed - len(newest)
        file.truncate(self._kept)
        file.seek(self._kept)
        notice = self._notice(self._left_out)
        file.write(notice + newest)
        self._size = self._kept + len(notice) + len(newest)
