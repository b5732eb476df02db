# SPDX-License-Identifier: MIT
"""The dispatcher's store of downloads and of what was unpacked from them, by content.

Several threads and several jobs use one folder at the same time.  A file appears under its
digest only when it is whole.  What a job uses, it holds with a shared lock on the file, which
the kernel lets go of however the job ends; only what nobody holds is ever removed.
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
    """Unpacked files, each by a digest made from the packed file's."""


class Cache:
    """The files below `root`; holds what it has given out until it is closed."""

    def __init__(self, root: Path, limit: int) -> None:
        """`limit` is the room in bytes that files may take when nobody uses them."""
        self._root = root
        self._limit = limit
        self._held: dict[Path, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all files, and remove the least recently used ones that exceed the limit."""
        with self._lock:
            held, self._held = self._held, {}
        for descriptor in held.values():
            os.close(descriptor)
        if held:
            self._evict()

    def folder(self, name: str) -> Path:
        """A folder of the cache, made where there is none."""
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
        """Keep every other thread and job out of the work called `name` meanwhile."""
        descriptor = os.open(self.folder("locks") / name, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            while not try_lock(descriptor, fcntl.LOCK_EX):
                deadline.pause(_LOOK_S)
            yield
        finally:
            os.close(descriptor)

    def find(self, area: Area, digest: str) -> Path | None:
        """The file under a digest, held from now on; None when there is none."""
        path = self._root / area.value / digest
        with self._lock:
            if path in self._held:
                return path
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            if not try_lock(descriptor, fcntl.LOCK_SH) or not _is_at(descriptor, path):
                os.close(descriptor)  # it is just being removed
                return None
            self._held[path] = descriptor
        with contextlib.suppress(PermissionError):
            os.utime(path)  # the time of the last use
        return path

    def add(self, area: Area, digest: str, made: Path) -> Path:
        """Move a whole file of this cache under its digest; held from now on."""
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
        """What was noted under a key; empty when that was nothing, or is broken."""
        try:
            noted = json.loads((self._root / "urls" / key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def note(self, key: str, facts: dict[str, Any]) -> None:
        """Note something under a key, over what was there."""
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
        """Remove a file that nobody holds, or unfinished work that nobody is at."""
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
    """What a file, or a folder of files, takes on the disk."""
    files = path.glob("*") if path.is_dir() else [path]
    return sum(file.stat().st_blocks * 512 for file in files)
