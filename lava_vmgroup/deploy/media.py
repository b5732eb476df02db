# SPDX-License-Identifier: MIT
"""Writing a disk image to a board's boot medium, as the dispatcher sees it.

The medium is a block device behind an SD-mux, or a plain file where the board is emulated.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import ConfigurationError, InfrastructureError

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
            while block := source.read(_BLOCK):
                deadline.check()
                if sparse and not block.strip(b"\0"):
                    target.seek(len(block), os.SEEK_CUR)
                else:
                    target.write(block)
                progress(source.tell(), size)
            if sparse:
                target.truncate(size)
            target.flush()
            if not sparse:
                os.fsync(target.fileno())
    except OSError as error:
        raise InfrastructureError(
            f"cannot write the boot medium {medium}: {error.strerror}"
        ) from error
