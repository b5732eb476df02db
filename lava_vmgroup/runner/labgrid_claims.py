# SPDX-License-Identifier: MIT
"""Notes of what jobs hold in labgrid, so that a job that was killed does not hold it for ever.

Each job has a file in the folder of locks.  The job's process holds a lock on the file, which the
kernel frees with the process, and removes the file at its end.  So a file without a lock is that of
a killed job.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.file_lock import try_lock
from lava_vmgroup.runner.lock_files import opened

_MAX_NOTE = 1 << 12
_PREFIX, _SUFFIX = "labgrid-", ".lock"
_WORD = re.compile(r"[^-\0][^\0]*")
"""Words that no program takes for an option."""
_OURS = re.compile(r"[A-Za-z0-9_.@+-]+-job-[0-9a-f]{6}")
"""Names of jobs: anybody may write to the folder, and other names are not given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The place and the reservation that a job holds in labgrid, or may hold."""

    client: str
    """The job's ``labgrid_client``, and the environment variables that choose the coordinator."""
    host: str
    user: str
    place: str = ""
    token: str = ""
    """The token of a reservation."""

    @property
    def owner(self) -> str:
        """The job's name, as labgrid shows it."""
        return f"{self.host}/{self.user}"

    @classmethod
    def read(cls, descriptor: int) -> Self | None:
        """Return the claim in a file, or None if it has none."""
        try:
            noted = json.loads(os.pread(descriptor, _MAX_NOTE, 0))
            claim = cls(**noted)
            words = [claim.host, claim.place or "_", claim.token or "_"]
            is_ours = _OURS.fullmatch(claim.user) and all(map(_WORD.fullmatch, words))
            return claim if is_ours else None
        except (ValueError, TypeError, RecursionError):
            return None


class Note:
    """The file of a job."""

    def __init__(self, descriptor: int, claim: Claim) -> None:
        self._descriptor = descriptor
        self.claim = claim
        self.is_over = False
        """True if the job holds nothing any more: then the file is removed."""

    def remove(self, path: Path) -> None:
        """Remove the file if the job holds nothing any more."""
        if self.is_over:
            # That of another user may stay: to give back again what is given back does nothing.
            with suppress(OSError):
                path.unlink()

    def add(self, **held: Any) -> None:
        """Note a ``place`` or a ``token``; call it before labgrid gives it."""
        self.claim = replace(self.claim, **held)
        # If the disk is full, the job goes on without the note.
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(asdict(self.claim)).encode(), 0)


@contextmanager
def noted(folder: Path, claim: Claim) -> Iterator[Note]:
    """Note the claim of this process within the block; `folder` is that of the locks."""
    name = f"{_PREFIX}{claim.user}{_SUFFIX}"
    while True:
        with opened(folder, name) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:
                continue  # another process took the new file for a killed job's
            note = Note(descriptor, claim)
            note.add()
            try:
                yield note
            finally:
                note.remove(folder / name)
            return


def claims_left(folder: Path, client: str) -> Iterator[Note]:
    """Yield the notes of killed jobs with the same `client`."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        # Anybody may put other things there.
        with suppress(ConfigurationError), opened(folder, path.name) as descriptor:
            if not try_lock(descriptor, fcntl.LOCK_EX):
                continue
            claim = Claim.read(descriptor)
            if claim is None or claim.client != client:
                continue
            note = Note(descriptor, claim)
            yield note
            note.remove(path)
