# SPDX-License-Identifier: MIT
"""Reading tar archives of people who need not be trusted, whatever their headers say.

Some headers have Python's reader allocate what they announce, copy a dictionary for each member,
or go backwards for ever; here they make the archive a damaged one.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal

MAX_MEMBERS = 100_000
"""More than any overlay or repository has."""

MAX_PATH, MAX_DEPTH = 4096, 128
"""Characters and folders of a name; Linux takes no longer ones."""

_MAX_HEADER = 16_384
"""Bytes of a header in front of a member: two such names, and what else is told."""

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
    """A member whose headers are of a sane size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """As the base class; raises `tarfile.ReadError`."""
        member = super().frombuf(buf, encoding, errors)
        most = _MAX_HEADER if member.type in _HEADERS else None
        if member.size < 0 or (most is not None and member.size > most):
            raise tarfile.ReadError(f"a header announces {member.size} bytes")
        return member

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        """As the base class; raises `tarfile.ReadError` for a damaged header.

        Python's reader takes one behind the first member for the end of the archive, and the end of
        the file, too, though it may be cut off there.
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
    """An archive that is not compressed; raises `tarfile.ReadError` for what is none."""
    with _damage_reported():
        archive = tarfile.open(  # noqa: SIM115 (it is closed below)
            fileobj=file, mode=mode, tarinfo=_Member, ignore_zeros=ignore_zeros
        )
    with archive:
        yield archive


def members(archive: tarfile.TarFile, most: int = MAX_MEMBERS) -> Iterator[tarfile.TarInfo]:
    """The members of an archive, which forgets each when the next is asked for.

    Raises `tarfile.ReadError` for a damaged archive, and for one with more than `most` members.
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
        archive.members.clear()  # type: ignore[attr-defined] # what a long archive would keep
        archive.pax_headers.clear()  # type: ignore[attr-defined] # they hold for all that follow
    raise tarfile.ReadError(f"more than {most} members")


@contextmanager
def _damage_reported() -> Iterator[None]:
    """Say of whatever the reader stumbles over that the archive is damaged."""
    wrong: tuple[type[Exception], ...]
    wrong = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
    try:
        yield
    except wrong as error:
        raise tarfile.ReadError(f"a broken header: {_words(error)}") from error


def _words(error: Any) -> str:
    return str(error)[:100] or type(error).__name__
