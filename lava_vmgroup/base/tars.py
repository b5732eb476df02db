# SPDX-License-Identifier: MIT
"""Reading tar archives of untrusted people.

Some headers make Python's reader allocate as many bytes as they announce, copy a dictionary for
each member, or go backwards for ever.  Here an archive with such a header counts as damaged.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal

MAX_MEMBERS = 100_000
"""Members of one archive: more than any overlay or repository has."""

MAX_PATH, MAX_DEPTH = 4096, 128
"""The most characters of a name, which is Linux's limit, and the most slashes in it."""

_MAX_HEADER = 16_384
"""Bytes of an extended header: two names of that length, and the other fields."""

_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


_DAMAGED_HEADERS = (
    tarfile.InvalidHeaderError,  # type: ignore[attr-defined]
    tarfile.TruncatedHeaderError,  # type: ignore[attr-defined]
)


class _Member(tarfile.TarInfo):
    """A member whose headers are checked."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """Call the base class; raise `tarfile.ReadError` for a size that is negative or too large.

        Only the size of an extended header is limited, as Python reads that one into memory.
        """
        member = super().frombuf(buf, encoding, errors)
        most = _MAX_HEADER if member.type in _HEADERS else None
        if member.size < 0 or (most is not None and member.size > most):
            raise tarfile.ReadError(f"a header announces {member.size} bytes")
        return member

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        """Call the base class; raise `tarfile.ReadError` for a damaged header.

        After the first member, Python takes a damaged header, and the end of the file, for the end
        of the archive.  But the archive may be cut off there.
        """
        try:
            return super().fromtarfile(archive)
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            if archive.ignore_zeros or not archive.offset:
                raise
            raise tarfile.ReadError("it has no end: is it cut off?") from error
        except _DAMAGED_HEADERS as error:
            if archive.ignore_zeros:
                raise
            raise tarfile.ReadError(f"a broken header: {error}") from error


@contextmanager
def opened(
    file: IO[bytes], mode: Literal["r:", "r|"] = "r:", *, ignore_zeros: bool = False
) -> Iterator[tarfile.TarFile]:
    """Open an uncompressed archive for the block.

    With `ignore_zeros` the reader skips zeros and damaged headers, and so reads further archives
    behind the first one.  Raises `tarfile.ReadError` if `file` is no archive.
    """
    with _damage_reported():
        archive = tarfile.open(  # noqa: SIM115 (it is closed below)
            fileobj=file, mode=mode, tarinfo=_Member, ignore_zeros=ignore_zeros
        )
    with archive:
        yield archive


def members(archive: tarfile.TarFile, most: int = MAX_MEMBERS) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive; the archive forgets each one when the next one is read.

    Raises `tarfile.ReadError` for a damaged archive, for one with more than `most` members, and for
    a member whose name is too long.
    """
    following: Iterator[tarfile.TarInfo] = iter(archive)
    for _ in range(most):
        with _damage_reported():
            member = next(following, None)
        if member is None:
            return
        if member.size < 0:
            raise tarfile.ReadError(f"a member of {member.size} bytes")
        for name in (member.name, member.linkname):
            if len(name) > MAX_PATH or name.count("/") > MAX_DEPTH:
                raise tarfile.ReadError(f"no system takes the name {name[:60]!r}...")
        yield member
        archive.members.clear()  # type: ignore[attr-defined] # Python would keep all of them
        archive.pax_headers.clear()  # type: ignore[attr-defined] # copied to each later member
    raise tarfile.ReadError(f"more than {most} members")


@contextmanager
def _damage_reported() -> Iterator[None]:
    """Turn the exceptions that Python's reader raises for odd headers into `tarfile.ReadError`."""
    wrong: tuple[type[Exception], ...]
    wrong = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
    try:
        yield
    except wrong as error:
        raise tarfile.ReadError(f"a broken header: {_words(error)}") from error


def _words(error: Any) -> str:
    return str(error)[:100] or type(error).__name__
