# SPDX-License-Identifier: MIT
"""Headers of tar archives that would take memory or time without end make a damaged archive."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
from collections.abc import Callable

import pytest

from lava_vmgroup.base import tars

MIB = 1 << 20


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def block(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def extended(kind: bytes, content: bytes) -> bytes:
    return header("extended", len(content), kind) + block(content)


def records(count: int) -> bytes:
    """That many keys of a pax header, as short as they may be."""
    return b"".join(b"%d %04x=\n" % (len("8 0000=\n"), number) for number in range(count))


def names(archive: bytes, mode: str = "r:", most: int = 5000) -> list[str]:
    with tars.opened(io.BytesIO(archive), mode) as tar:  # type: ignore[arg-type]
        return [member.name for member in tars.members(tar, most)]


@pytest.mark.parametrize("mode", ["r:", "r|"])
def test_an_archive_is_read_with_its_long_names(mode: str) -> None:
    buffer = io.BytesIO()
    wanted = ["a", "b" * 3000, "folder/" * 40 + "c"]
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
            for name in wanted:
                tar.addfile(tarfile.TarInfo(name))

        assert names(buffer.getvalue(), mode) == wanted


@pytest.mark.parametrize("mode", ["r:", "r|"])
def test_archive_that_is_cut_off_between_two_members_is_damaged(mode: str) -> None:
    whole = header("a", 512) + block(b"x" * 512) + header("b") + bytes(1024)

    assert names(whole, mode) == ["a", "b"]
    for end in (1024, 1536):
        with pytest.raises(tarfile.ReadError, match="is it cut off"):
            names(whole[:end], mode)


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (extended(tarfile.GNUTYPE_LONGNAME, b"x" * MIB) + header("a"), "announces 1048576 bytes"),
        (header("long", 1 << 62, tarfile.GNUTYPE_LONGNAME), "announces 4611686018427387904 bytes"),
        (extended(tarfile.XHDTYPE, records(5000)) + header("a"), "announces 40000 bytes"),
        (header("a") + header("back", -1024), "announces -1024 bytes"),
        (extended(tarfile.XHDTYPE, b"14 size=-1024\n") + header("a"), "a member of -1024 bytes"),
        (extended(tarfile.XGLTYPE, records(1)) * 3000 + header("a"), "a broken header"),
        (extended(tarfile.XHDTYPE, b"22 GNU.sparse.map=x,y\n") + header("a"), "a broken header"),
        (extended(tarfile.GNUTYPE_LONGNAME, b"a/" * 200 + b"b") + header("a"), "takes the name"),
        (extended(tarfile.GNUTYPE_LONGNAME, b"a" * 5000) + header("a"), "takes the name"),
    ],
)
def test_headers_that_nobody_needs_are_damage(archive: bytes, reason: str) -> None:
    with pytest.raises(tarfile.ReadError, match=reason):
        names(archive + bytes(1024))


def test_too_many_members_are_damage() -> None:
    archive = header("a", kind=tarfile.DIRTYPE) * 101

    assert len(names(archive[: 99 * 512] + bytes(1024), most=100)) == 99
    with pytest.raises(tarfile.ReadError, match="more than 100 members"):
        names(archive + bytes(1024), most=100)


@pytest.mark.parametrize(
    "archive",
    [
        lambda: extended(tarfile.XGLTYPE, records(1500)) + header("a") * 300,
        lambda: (extended(tarfile.XHDTYPE, records(1500)) + header("a")) * 60,
        lambda: header("a") * 15_000,
    ],
    ids=["global", "each", "many"],
)
def test_members_that_were_looked_at_take_no_memory(archive: Callable[[], bytes]) -> None:
    data = io.BytesIO(archive() + bytes(1024))
    tracemalloc.start()
    try:
        with tars.opened(data) as tar:
            count = sum(1 for _ in tars.members(tar))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count >= 60
    assert most < 5 * MIB
