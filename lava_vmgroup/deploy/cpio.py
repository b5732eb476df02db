# SPDX-License-Identifier: MIT
"""cpio archives of the format that the kernel calls "newc"; a Linux ramdisk consists of them."""

from __future__ import annotations

import io
import os
import posixpath
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.tars import MAX_PATH
from lava_vmgroup.deploy.layers import BROKEN, decompressed

LARGEST = 0xFFFFFFFF
"""The largest number that an archive can hold, and so the size of its largest file."""

_MAGIC = b"070701"
_MAGICS = (_MAGIC, b"070702")
_TRAILER = "TRAILER!!!"
_HEAD = 110
_MAX_LINKS = 8
_MAX_ENTRIES = 1_000_000
"""Limit of members that are read."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CpioEntry:
    """A member of a cpio archive, without its content."""

    name: str
    mode: int
    size: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    major: int = 0
    minor: int = 0


class Writer:
    """A cpio archive that is written at the end of a file."""

    def __init__(self, file: IO[bytes], limit: int = LARGEST) -> None:
        """Begin an archive of at most `limit` bytes."""
        self._file = file
        self._count = 0
        self._left = limit

    def add(self, entry: CpioEntry, content: Iterable[bytes] = ()) -> None:
        """Add one member; `content` must have `entry.size` bytes.

        Raises `JobError` if the archive exceeds its limit.
        """
        self._count += 1
        name = os.fsencode(entry.name) + b"\0"
        self._left -= _HEAD + len(name) + entry.size
        if self._left < 0:
            raise JobError("a ramdisk becomes too large by what is added to it")
        numbers = (
            self._count,
            entry.mode,
            entry.uid,
            entry.gid,
            1,
            entry.mtime,
            entry.size,
            0,
            0,
            entry.major,
            entry.minor,
            len(name),
            0,
        )
        head = _MAGIC + b"".join(b"%08X" % number for number in numbers) + name
        self._file.write(head + bytes(-len(head) % 4))
        for chunk in content:
            self._file.write(chunk)
        self._file.write(bytes(-entry.size % 4))

    def finish(self) -> None:
        """End the archive."""
        self.add(CpioEntry(name=_TRAILER, mode=0))


@dataclass(frozen=True, slots=True)
class Tree:
    """The folders and the links of a ramdisk, by their paths."""

    folders: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)

    def real(self, path: str) -> str:
        """Return a path with all links in it followed, the last part included."""
        done = ""
        for part in path.split("/"):
            done = posixpath.join(done, part)
            for _ in range(_MAX_LINKS):
                if done not in self.links:
                    break
                target = posixpath.join(posixpath.dirname(done), self.links[done])
                done = posixpath.normpath(f"/{target}").lstrip("/")
        return done


def tree_of(ramdisk: Path, deadline: Deadline) -> Tree:
    """Return the folders and links of a ramdisk, as far as its archives can be read.

    A ramdisk is a row of archives, of which the last is often compressed.
    """
    tree = Tree()
    with ramdisk.open("rb", buffering=0) as file:
        begin, end = -1, 0
        while begin < end:
            begin = file.seek(end)
            try:
                with decompressed(file, deadline) as stream:
                    _read_tree(stream, tree, deadline)
                    # The end of a compressed archive within the file is unknown, so it is the last
                    # one read.
                    end = stream.tell() if stream.raw is file else begin
            except BROKEN:
                return tree
    return tree


def _read_tree(stream: io.BufferedReader, tree: Tree, deadline: Deadline) -> None:
    """Read archives into `tree` until other data comes."""
    for _ in range(_MAX_ENTRIES):
        if stream.peek(len(_MAGIC))[: len(_MAGIC)] not in _MAGICS:
            return
        deadline.check()
        mode, size, name_size = _numbers(stream.read(_HEAD))
        name = os.fsdecode(_padded(stream, name_size, _HEAD).rstrip(b"\0"))
        path = posixpath.normpath(f"/{name}").lstrip("/")
        if stat.S_ISLNK(mode):
            tree.links[path] = os.fsdecode(_padded(stream, size))
            continue
        _skip(stream, size + -size % 4, deadline)
        if stat.S_ISDIR(mode):
            tree.folders.add(path)
        elif name == _TRAILER:
            while stream.peek(1)[:1] == b"\0":
                stream.read(1)


def _numbers(head: bytes) -> tuple[int, int, int]:
    """Return mode, size and length of the name from a member's head."""
    if not re.fullmatch(rb"[0-9A-Fa-f]{%d}" % _HEAD, head):
        raise EOFError("the archive has a broken head, or ends within one")
    numbers = [int(head[start : start + 8], 16) for start in range(6, _HEAD, 8)]
    return numbers[1], numbers[6], numbers[11]


def _skip(stream: IO[bytes], size: int, deadline: Deadline) -> None:
    """Read over `size` bytes of a file in pieces: it may be larger than the memory."""
    while size > 0 and (data := stream.read(min(size, _CHUNK))):
        deadline.check()
        size -= len(data)
    if size > 0:
        raise EOFError("the archive ends within a file")


def _padded(stream: IO[bytes], size: int, before: int = 0) -> bytes:
    """Return a text of `size` bytes, and read over its padding; `before` bytes precede it."""
    if size > MAX_PATH:
        raise EOFError("the archive has a name that no system takes")
    data = stream.read(size)
    stream.read(-(before + size) % 4)
    if len(data) != size:
        raise EOFError("the archive ends within a file")
    return data
