# SPDX-License-Identifier: MIT
"""A file for the image store on the host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.deploy.digests import sha256_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file on the dispatcher, with the SHA-256 that is its name in the host's image store."""

    path: Path
    digest: str


def stored(path: Path, deadline: Deadline) -> StoredFile:
    """Return the file with the digest of its content; for errors see `Deadline.check`."""
    digest = sha256_of(path, lambda _done, _size: deadline.check())
    return StoredFile(path=path, digest=digest)
