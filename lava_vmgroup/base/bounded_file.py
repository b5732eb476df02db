# SPDX-License-Identifier: MIT
"""Log files of a limited size.

A console that floods its log must not fill the disk, and must not push the boot or the end out of
the log.  So a file that becomes too large loses its middle.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

LIMIT = 128 << 20
"""Bytes of one log: three hours of a serial line that sends at 115200 baud without a pause."""

_LOGGER = logging.getLogger(__name__)

_SEARCHED = 65536
"""Bytes beside a cut that are searched for the end of a line, so that whole lines stay."""


def in_words(left_out: int) -> bytes:
    """Return the notice for a text file in which `left_out` bytes are missing."""
    return b"\n[lava_vmgroup: %d bytes are left out here]\n" % left_out


class BoundedFile:
    """A file to append to that loses its middle, in whole lines, when it becomes too large.

    The file keeps the first half of the limit (the boot) and the newest quarter (the end).  A
    notice stands between them.  Not safe to use from several threads at once.
    """

    def __init__(
        self, path: Path, notice: Callable[[int], bytes] = in_words, limit: int = LIMIT
    ) -> None:
        """Create `path` as an empty file, which may grow to `limit` bytes.

        `notice` makes the text that takes the place of that many missing bytes.
        """
        self._path = path
        self._notice = notice
        self._limit = limit
        self._size = 0
        self._kept = 0
        """The offset at which the first half ends, once the middle was left out."""
        self._left_out = 0
        self._missed = 0
        """Bytes dropped since the last write that succeeded."""
        self._path.write_bytes(b"")
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Append `data` unbuffered.

        If the write fails, for example on a full disk, drop `data` and log one warning.  The next
        write that succeeds puts a notice before its own data.
        """
        missed = self._notice(self._missed) if self._missed else b""
        try:
            self._append(missed + data)
        except OSError as error:
            self._missed += len(data)
            if not missed:
                # A log handler may write this warning to this very file.  The nested call finds
                # `_missed` set and does not warn again.
                _LOGGER.warning("%s is not complete: %s", self._path, error.strerror)
        else:
            self._missed = 0

    def _append(self, data: bytes) -> None:
        """Append all of `data`, or raise `OSError` and append nothing."""
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
        """Close the file; the next `write` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _leave_out(self, file: BinaryIO) -> None:
        """Replace the lines between the first half and the newest quarter by a notice."""
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
