# SPDX-License-Identifier: MIT
"""A process's temporary folder.

The process holds a lock on its folder, which the kernel releases however the process ends.  So
the next process can tell the folders of killed processes, and removes them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PREFIX = "lava-vmgroup-job-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Remove the folders of killed processes, then give an empty folder for the block.

    The folder is removed at the end of the block.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_if_abandoned(path)
    with ExitStack() as stack:
        while (folder := _made(stack)) is None:
            pass  # another process removed the new folder before it was locked
        yield folder


def _made(stack: ExitStack) -> Path | None:
    """Make and lock a folder; return None if another process has removed it meanwhile."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX)))
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    stack.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return folder if folder.exists() else None


def _remove_if_abandoned(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if os.fstat(descriptor).st_uid == os.getuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
