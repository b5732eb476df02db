# SPDX-License-Identifier: MIT
"""Reading and writing sparse files without their holes: most of a disk image is empty."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

_BLOCK = 65536


class Readable(Protocol):
    """An object that bytes can be read from, such as a file or a decompressor."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; ``b""`` at the end."""
        ...


def data_blocks(source: BinaryIO, block_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the position and the content of each block of a file that is not all zeros.

    Holes are skipped without reading them; so are blocks of stored zeros.  Positions are multiples
    of `block_size`, and the last block of the file may be shorter.
    """
    zeros = bytes(block_size)
    fd, position = source.fileno(), 0
    while True:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole up to the end of the file
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        position = start - start % block_size
        while position < end:
            block = os.pread(fd, block_size, position)
            if block != zeros[: len(block)]:
                yield position, block
            position += block_size


def write_sparse(source: Readable, target: Path, tell: Callable[[], None]) -> None:
    """Write all bytes of `source` to the new file `target`, blocks of zeros as holes.

    Calls `tell` after each block; `tell` may raise to end the work.
    """
    zeros = bytes(_BLOCK)
    with target.open("wb") as file:
        while block := _whole_block(source):
            if block == zeros[: len(block)]:
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
            tell()
        file.truncate()


def copy_sparse(source: Path, target: Path, tell: Callable[[], None]) -> None:
    """Copy a file to the new file `target` with its holes; `tell` is as for `write_sparse`."""
    with source.open("rb") as reader, target.open("wb") as writer:
        for position, block in data_blocks(reader, _BLOCK):
            writer.seek(position)
            writer.write(block)
            tell()
        writer.truncate(source.stat().st_size)


def _whole_block(source: Readable) -> bytes:
    """Return the next block, shorter only at the end.

    One `read` is not enough: decompressors may return fewer bytes than were asked for.
    """
    block = source.read(_BLOCK)
    while 0 < len(block) < _BLOCK and (more := source.read(_BLOCK - len(block))):
        block += more
    return block
