# SPDX-License-Identifier: MIT
"""Writing a disk image to a board's boot medium, as the dispatcher sees it.

The medium is a block device behind an SD-mux, or a plain file where the board is emulated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import ConfigurationError, InfrastructureError
from lava_vmgroup.sparse import data_blocks

_BLOCK = 1 << 20


def write_image(
    image: Path, medium: Path, deadline: Deadline, progress: Callable[[int, int], None]
) -> None:
    """Write `image` to `medium`, holes as holes on a file; the board must be off.

    On a block device, which may hold old data where the image has holes, everything is written.
    `progress` is called with bytes done and bytes in all.
    """
    size = image.stat().st_size
    sparse = not medium.is_block_device()
    if sparse and not medium.parent.is_dir():
        raise ConfigurationError(
            f"the boot medium {medium} is not there", hint="check media_device of the device"
        )
    try:
        with image.open("rb") as source, medium.open("wb" if sparse else "r+b") as target:
            for position, block in data_blocks(source, _BLOCK) if sparse else _all_blocks(source):
                deadline.check()
                target.seek(position)
                target.write(block)
                progress(position + len(block), size)
            if sparse:
                target.truncate(size)
            else:
                target.flush()
                os.fsync(target.fileno())
    except OSError as error:
        raise InfrastructureError(
            f"cannot write the boot medium {medium}: {error.strerror}"
        ) from error


def _all_blocks(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    position = 0
    while block := source.read(_BLOCK):
        yield position, block
        position += len(block)
