# SPDX-License-Identifier: MIT
"""The output directory: one job at a time writes there, and no results of an earlier job stay."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError, DeviceInUse
from lava_vmgroup.base.file_lock import try_lock


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the output directory if needed, and keep other jobs from it within the block.

    The kernel frees the lock however the process ends.  Raises `DeviceInUse` if another process has
    the directory, and `ConfigurationError` if it cannot be used.
    """
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _is_free(descriptor):
            raise DeviceInUse(
                f"another job writes its results to {folder}",
                hint="wait for its end, or choose another --output-dir",
            )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Raise `ConfigurationError` if the block cannot write to the output directory."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {folder}: {error.strerror}", hint="choose another --output-dir"
        ) from error


def discard_results(folder: Path) -> None:
    """Remove the files that could be taken for results of the job that begins; keep all others."""
    # A check of a job does not need the modules of the formats.
    from lava_vmgroup.results.writers import group_files
    from lava_vmgroup.runner.submission import URL_FILE

    with writable(folder):
        for name in (*group_files(), URL_FILE):
            with suppress(FileNotFoundError, IsADirectoryError):
                (folder / name).unlink()


def discard_unused_results(folder: Path) -> None:
    """Remove an earlier job's results unless a job writes there; a run reports what is wrong."""
    if folder.is_dir():
        with suppress(DeviceInUse, ConfigurationError), locked(folder):
            discard_results(folder)


def _is_free(descriptor: int) -> bool:
    """Lock a folder; return False if another process has done so."""
    try:
        return try_lock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return True  # NFS has no locks for folders
