# SPDX-License-Identifier: MIT
"""The folder of locks, which all users of the lab share, and its files.

The folder may be writable for everybody.  So links in it are not followed, and a file is written
to only if it is a regular file without a second name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.dispatcher import DispatcherConfig

_SHARED = 0o1777
"""The mode of a folder in which each user may make files, and remove only their own."""


def lock_folder(dispatcher: DispatcherConfig) -> Path:
    """Return the folder of the dispatcher's locks, which may not exist yet."""
    configured = dispatcher.lava_lock_dir
    return default_folder() if configured is None else configured.resolve()


def default_folder() -> Path:
    """Return the folder of locks if the configuration names none.

    It is the same for each user, whatever their rights: else users would not see each other's
    locks.
    """
    base, last = Path("/run/lock"), Path("/tmp")  # noqa: S108 - shared on purpose
    shared = base.is_dir() and base.stat().st_mode & _SHARED == _SHARED
    return (base if shared else last) / "lava-vmgroup"


@contextmanager
def opened(folder: Path, name: str) -> Iterator[int]:
    """Open a lock's file within the block, creating it if needed, and yield its descriptor."""
    try:
        descriptor = _open(folder, name)
    except OSError as error:
        raise ConfigurationError(
            f"cannot use the lock {folder / name}: {error.strerror}",
            hint="set LAVA_LOCK_DIR in lava-dispatcher.conf to a folder that all users of the lab "
            "can write to",
        ) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise ConfigurationError(
                f"{folder / name} is no lock of a board", hint="remove it, and see who made it"
            )
        yield descriptor
    finally:
        os.close(descriptor)


def _open(folder: Path, name: str) -> int:
    """Open a file to read and write; a new one gets mode 0666, whatever the umask is."""
    flags = os.O_RDWR | os.O_NOFOLLOW
    folder.parent.mkdir(parents=True, exist_ok=True)
    mask = os.umask(0)
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=_SHARED)
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            # In such a folder, Linux refuses O_CREAT for another user's file:
            # fs.protected_regular.
            while True:
                with suppress(FileNotFoundError):
                    return os.open(name, flags, dir_fd=parent)
                with suppress(FileExistsError):
                    return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=parent)
        finally:
            os.close(parent)
    finally:
        os.umask(mask)
