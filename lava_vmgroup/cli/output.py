# SPDX-License-Identifier: MIT
"""Standard output and standard error whose failures do not change the end of a job.

A terminal may support only ASCII, a reader such as ``head`` may exit, a disk may be full, and a
service may start a program without these streams.  The job's result is in its files, and its exit
status must be true.  So a character that the terminal does not have becomes a backslash and its
number, and text that cannot be written is dropped.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from lava_vmgroup.base.errors import InfrastructureError

_STANDARD = (0, 1, 2)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Replace standard output and standard error within the block by streams that do not raise.

    Python's warnings are for programmers, and are hidden if no option of Python asks for them.
    """
    _open_standard_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Lasting(sys.stdout), Lasting(sys.stderr)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def print_document(text: str) -> None:
    """Write a document, the program's product, to standard output.

    A reader that exits early is no error.  Raises `InfrastructureError` if the write fails for
    another reason, such as a full disk.
    """
    sys.stdout.write(text)
    sys.stdout.flush()
    failure = sys.stdout.failure if isinstance(sys.stdout, Lasting) else None
    if failure is not None and not isinstance(failure, BrokenPipeError):
        raise InfrastructureError(
            f"cannot write to standard output: {failure.strerror}", hint="make room on the disk"
        ) from failure


def _open_standard_descriptors() -> None:
    """Open the closed ones of descriptors 0 to 2: else the next files would get these numbers."""
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            # The system gives the lowest number that is free.
            os.open(os.devnull, os.O_RDWR)


class Lasting(io.TextIOBase):
    """A stream that accepts any text, and drops it after the first error."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: OSError | None = None
        """The first `OSError` of the stream; all text after it is dropped."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream's bytes."""
        return getattr(self._stream, "encoding", None) or "ascii"

    def write(self, text: str) -> int:
        """Write `text`, with backslashes for characters that the encoding does not have."""
        if self._stream is not None:
            known = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
            try:
                self._stream.write(known)
            except (OSError, ValueError) as error:
                self._leave(error)
        return len(text)

    def flush(self) -> None:
        """Write the buffered text."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._leave(error)

    def isatty(self) -> bool:
        """Return True for a terminal."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor.  Raises `OSError` if there is no stream."""
        if self._stream is None:
            raise OSError("there is no stream")
        return self._stream.fileno()

    def _leave(self, error: OSError | ValueError) -> None:
        """Drop all text from now on, also the buffer that the interpreter flushes at its exit."""
        self.failure = error if isinstance(error, OSError) else None
        stream, self._stream = self._stream, None
        assert stream is not None, "it has just been used"
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
