# SPDX-License-Identifier: MIT
"""Reading sparse files without their holes: disk images are mostly nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import BinaryIO


def data_blocks(source: BinaryIO, block_size: int) -> Iterator[tuple[int, bytes]]:
    """Position and content of each block of a file that is not all zeros.

    Holes are skipped without reading them, and zeros that are stored are skipped too.
    """
    zeros = bytes(block_size)
    fd, position = source.fileno(), 0
    while True:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # nothing but a hole up to the end
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        position = start - start % block_size
        while position < end:
            block = os.pread(fd, block_size, position)
            if block != zeros[: len(block)]:
                yield position, block
            position += block_size
