# SPDX-License-Identifier: MIT
"""Digests of files that may be large."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

_CHUNK = 1 << 20


def digests_of(
    path: Path, algorithms: Sequence[str], progress: Callable[[int, int], None]
) -> dict[str, str]:
    """Return digests of a file's content in hex, by the names in `algorithms`; see `hashlib`.

    Calls `progress` with bytes done and bytes in all; it may raise to end the work.
    """
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    size, done = path.stat().st_size, 0
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            for digest in digests.values():
                digest.update(block)
            done += len(block)
            progress(done, size)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def sha256_of(path: Path, progress: Callable[[int, int], None]) -> str:
    """Return the SHA-256 of a file's content in hex; for `progress` see `digests_of`."""
    return digests_of(path, ["sha256"], progress)["sha256"]
