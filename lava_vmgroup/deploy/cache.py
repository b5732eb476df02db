# SPDX-License-Identifier: MIT
"""The dispatcher's store of downloads and of files unpacked from them, by content.

Several threads and several jobs use one folder at the same time.  The rules:

- A file gets its name, a digest, only when it is complete.
- A job holds a shared lock on each file that it uses.  The kernel frees the lock however the job
  ends.
- Only files that no job holds are removed.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.file_lock import try_lock

_LOOK_S = 0.1


class Area(enum.Enum):
    """The parts of the cache that hold files under digests."""

    DOWNLOADS = "sha256"
    """Files as they were downloaded, by their own digest."""
    UNPACKED = "unpacked"
    """Unpacked files, each by a digest made from that of the packed file."""


class Cache:
    """The files below the folder `root`; a file that was returned stays locked until `close`."""

    def __init__(self, root: Path, limit: int) -> None:
        """Use `limit` bytes of disk at most; files that are in use may exceed it."""
        self._root = root
        self._limit = limit
        self._held: dict[Path, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release all files; remove the least recently used ones until the rest fits the limit."""
        with self._lock:
            held, self._held = self._held, {}
        for descriptor in held.values():
            os.close(descriptor)
        if held:
            self._evict()

    def folder(self, name: str) -> Path:
        """Return a folder of the cache, and make it if it is missing.

        Raises `ConfigurationError` if that fails.
        """
        folder = self._root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the cache folder {folder}: {error.strerror}",
                hint="set LAVA_CACHEDIR in lava-dispatcher.conf to a folder of your own",
            ) from error
        return folder

    @contextlib.contextmanager
    def locked(self, name: str, deadline: Deadline) -> Iterator[None]:
        """Hold the lock `name` during the block, against every other thread and job.

        Blocks until the lock is free.  Raises the errors of `Deadline.check`.
        """
        descriptor = os.open(self.folder("locks") / name, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            while not try_lock(descriptor, fcntl.LOCK_EX):
                deadline.pause(_LOOK_S)
            yield
        finally:
            os.close(descriptor)

    def find(self, area: Area, digest: str) -> Path | None:
        """Return the file under a digest, and lock it; return None if there is none."""
        path = self._root / area.value / digest
        with self._lock:
            if path in self._held:
                return path
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            if not try_lock(descriptor, fcntl.LOCK_SH) or not _is_at(descriptor, path):
                os.close(descriptor)  # another job is removing it
                return None
            self._held[path] = descriptor
        with contextlib.suppress(PermissionError):
            os.utime(path)  # the time of the last use
        return path

    def add(self, area: Area, digest: str, made: Path) -> Path:
        """Move the complete file `made`, which is in this cache, under its digest; return its path.

        The file is locked from now on.  If the digest exists already, removes `made`.
        """
        path = self.folder(area.value) / digest
        descriptor = os.open(made, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            os.link(made, path)
        except FileExistsError:
            os.close(descriptor)
            if (there := self.find(area, digest)) is not None:
                made.unlink()
                return there
            return self.add(area, digest, made)
        made.unlink()
        with self._lock:
            self._held[path] = descriptor
        self._evict()
        return path

    def recall(self, key: str) -> dict[str, Any]:
        """Return the facts noted under a key; empty if there are none, or they are broken."""
        try:
            noted = json.loads((self._root / "urls" / key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def note(self, key: str, facts: dict[str, Any]) -> None:
        """Note facts under a key; they replace earlier ones."""
        path = self.folder("urls") / key
        unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        unfinished.write_text(json.dumps(facts), encoding="utf-8")
        unfinished.replace(path)

    def _evict(self) -> None:
        """Remove the least recently used files until the rest fits into the limit."""
        folders = [*(area.value for area in Area), "parts", "scratch"]
        entries = []
        for path in (entry for name in folders for entry in (self._root / name).glob("*")):
            with contextlib.suppress(FileNotFoundError):
                entries.append((path.stat().st_mtime, _room(path), path))
        total = sum(room for _, room, _ in entries)
        for _, room, path in sorted(entries):
            if total <= self._limit:
                return
            if self._remove(path):
                total -= room

    def _remove(self, path: Path) -> bool:
        """Remove a file, or unfinished work; return False if a job uses it."""
        whole = path.parent.name in [area.value for area in Area]
        guard = path if whole else self.folder("locks") / path.stem
        try:
            descriptor = os.open(guard, os.O_RDWR if whole else os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return False
        try:
            if not try_lock(descriptor, fcntl.LOCK_EX):
                return False
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _room(path: Path) -> int:
    """Return the bytes on the disk that a file, or a folder of files, takes."""
    files = path.glob("*") if path.is_dir() else [path]
    return sum(file.stat().st_blocks * 512 for file in files)
