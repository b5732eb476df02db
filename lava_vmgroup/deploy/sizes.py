# SPDX-License-Identifier: MIT
"""The sizes in partition tables and file systems, to detect a disk image that is cut off.

``sfdisk`` refuses the table of such an image, so this module reads the few fields itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.deploy.layers import shows

_MIB = 1 << 20
_SECTOR = 512
_SECTORS = (512, 4096)
_HEAD = 0x11000

_TABLE_AT = 446
_ENTRY = struct.Struct("<B3xB3xII")
"""An entry of a DOS table: flag, type, first sector, number of sectors."""
_ENTRIES = 4
_SIGNATURE = (510, b"\x55\xaa")
_BOOT_FLAGS = (0x00, 0x80)
_PROTECTIVE = 0xEE
_EXTENDED = frozenset({0x05, 0x0F, 0x85})
_MAX_LOGICAL = 128

_GPT = b"EFI PART"
_GPT_HEADER = struct.Struct("<72xQII")
"""The first sector of a GPT's entries, their number, and the size of each in bytes."""
_GPT_ENTRY = struct.Struct("<16s16xQQ")
"""An entry of a GPT: type, first sector, last sector."""
_MAX_GPT = 1024

_SQUASHFS = b"hsqs"
_FAT_MARKS = ((0x36, b"FAT"), (0x52, b"FAT32"))


def check_is_whole(path: Path, name: str, *, was_packed: bool = False) -> str | None:
    """Raise `JobError` if the disk image at `path` is shorter than its table or file system needs.

    If a file system was unpacked without an error (`was_packed`), it was too short before the
    packing; then this returns a warning.
    """
    size = path.stat().st_size
    with path.open("rb") as image:
        head = image.read(_HEAD)
        found = _of_file_system(head)
        kind, needed = found or ("partition table", _end_of_partitions(image, head, size))
    if needed <= size:
        return None
    text = (
        f"{name} has {size // _MIB} MiB, its {kind} needs {-(-needed // _MIB)} MiB: is it cut off?"
    )
    if was_packed and found:
        return text
    raise JobError(text, hint="compare its size and digest with those at its origin")


def _of_file_system(head: bytes) -> tuple[str, int] | None:
    """Return kind and size of a file system without a partition table; None for other images."""
    if any(shows(head, *mark) for mark in _FAT_MARKS) and shows(head, *_SIGNATURE):
        return "file system (FAT)", _fat_size(head)
    if _dos_entries(head):
        return None  # the mark may be from a file system before the partitions
    for kind, place, mark, size_of in _FILE_SYSTEMS:
        if shows(head, place, mark):
            return f"file system ({kind})", size_of(head)
    return None


def _ext_size(head: bytes) -> int:
    low, exponent, features = struct.unpack_from("<4xI16xI68xI", head, 0x400)
    high = int.from_bytes(head[0x550:0x554], "little") if features & 0x80 else 0
    return int(high << 32 | low) << int(10 + min(exponent, 6))


def _xfs_size(head: bytes) -> int:
    block, count = struct.unpack_from(">4xIQ", head)
    return int(block * count)


def _btrfs_size(head: bytes) -> int:
    # The size of this device: a btrfs file system may have several.
    return int.from_bytes(head[0x100D1:0x100D9], "little")


def _f2fs_size(head: bytes) -> int:
    exponent, count = struct.unpack_from("<16xI16xQ", head, 0x400)
    return int(count) << int(min(exponent, 16))


def _erofs_size(head: bytes) -> int:
    exponent, count = struct.unpack_from("<12xB23xI", head, 0x400)
    return int(count) << int(min(exponent, 16))


def _iso_size(head: bytes) -> int:
    count, block = struct.unpack_from("<80xI44xH", head, 0x8000)
    return int(count * block)


def _squashfs_size(head: bytes) -> int:
    return int.from_bytes(head[40:48], "little")


def _fat_size(head: bytes) -> int:
    sector = int.from_bytes(head[11:13], "little")
    count = int.from_bytes(head[19:21], "little") or int.from_bytes(head[32:36], "little")
    return sector * count


_FILE_SYSTEMS: tuple[tuple[str, int, bytes, Callable[[bytes], int]], ...] = (
    ("ext", 0x438, b"\x53\xef", _ext_size),
    ("XFS", 0, b"XFSB", _xfs_size),
    ("btrfs", 0x10040, b"_BHRfS_M", _btrfs_size),
    ("squashfs", 0, _SQUASHFS, _squashfs_size),
    ("F2FS", 0x400, b"\x10\x20\xf5\xf2", _f2fs_size),
    ("EROFS", 0x400, b"\xe2\xe1\xf5\xe0", _erofs_size),
    ("ISO 9660", 0x8001, b"CD001", _iso_size),
)


def _end_of_partitions(image: IO[bytes], head: bytes, size: int) -> int:
    """Return the end of the last partition in bytes; 0 without a partition table."""
    return max(
        (_end_of(image, start, end, size) for start, end in _extents(image, head, size)), default=0
    )


def _end_of(image: IO[bytes], start: int, end: int, size: int) -> int:
    """Return the end of a partition's content: OpenWrt's images end with a smaller squashfs."""
    if end <= size or start >= size:
        return end
    image.seek(start)
    head = image.read(_SECTOR)
    return start + _squashfs_size(head) if head.startswith(_SQUASHFS) else end


def _extents(image: IO[bytes], head: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Yield the first byte of each partition, and the first behind it."""
    entries = _dos_entries(head)
    if not entries:
        yield from _gpt_extents(image, size)  # the table before it may be damaged
    for kind, first, count in entries:
        if kind == _PROTECTIVE:
            yield from _gpt_extents(image, size)
        elif kind in _EXTENDED:
            yield from _logical_extents(image, first, size)
        else:
            yield first * _SECTOR, (first + count) * _SECTOR


def _dos_entries(sector: bytes) -> list[tuple[int, int, int]]:
    """Return type, first sector and number of sectors of each entry that is in use."""
    if not shows(sector, *_SIGNATURE):
        return []
    places = range(_TABLE_AT, _TABLE_AT + _ENTRIES * _ENTRY.size, _ENTRY.size)
    entries = [_ENTRY.unpack_from(sector, place) for place in places]
    if any(flag not in _BOOT_FLAGS for flag, *_ in entries):
        return []  # a boot sector
    return [(kind, first, count) for _, kind, first, count in entries if kind and count]


def _logical_extents(image: IO[bytes], start: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the extents of the partitions in an extended one; that of a table if it is missing."""
    table: int | None = start
    for _ in range(_MAX_LOGICAL):
        if table is None:
            return
        place, table = table, None
        if (place + 1) * _SECTOR > size:
            yield place * _SECTOR, (place + 1) * _SECTOR
            return
        image.seek(place * _SECTOR)
        for kind, first, count in _dos_entries(image.read(_SECTOR)):
            if kind in _EXTENDED:
                table = start + first
            else:
                yield (place + first) * _SECTOR, (place + first + count) * _SECTOR


def _gpt_extents(image: IO[bytes], size: int) -> Iterator[tuple[int, int]]:
    """Yield the extents of a GPT's table of entries and of its partitions."""
    for sector in _SECTORS:
        image.seek(sector)
        header = image.read(_SECTOR)
        if not header.startswith(_GPT):
            continue
        place, count, length = _GPT_HEADER.unpack_from(header.ljust(_SECTOR, b"\0"))
        if count > _MAX_GPT or not _GPT_ENTRY.size <= length <= _SECTOR:
            continue
        yield place * sector, place * sector + count * length
        if place * sector >= size:
            return
        image.seek(place * sector)
        entries = image.read(count * length)
        for at in range(0, len(entries) - length + 1, length):
            kind, first, last = _GPT_ENTRY.unpack_from(entries, at)
            if kind.strip(b"\0"):
                yield first * sector, (last + 1) * sector
        return
