# SPDX-License-Identifier: MIT
"""The beginning of a downloaded file, and the version of the file that it is from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

MAX_DOWNLOAD = 64 << 30
"""Limit of bytes of a file: more than any card or image has, to stop an endless answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The headers by which a server distinguishes the versions of a file."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, noted: Any) -> Self:
        """The version in a note; none where the note is of something else."""
        try:
            return cls(**noted)
        except TypeError:
            return cls()

    @property
    def exact(self) -> str | None:
        """The header that proves that the rest of a file fits its beginning; None if none does."""
        strong = self.etag is not None and not self.etag.startswith("W/")
        return self.etag if strong else self.last_modified

    def may_be(self, other: Version) -> bool:
        """Return whether `other` can be the same version: no header that both have differs."""
        pairs = ((self.etag, other.etag), (self.last_modified, other.last_modified))
        return all(mine == theirs for mine, theirs in pairs if mine and theirs)


class Partial:
    """The beginning of a file that is being downloaded, kept together with its version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_suffix(".version")

    @property
    def size(self) -> int:
        """Number of bytes after which the download can continue; 0 without an exact version."""
        return self.path.stat().st_size if self.version.exact and self.path.exists() else 0

    @property
    def version(self) -> Version:
        """The version of the file that the bytes are from; empty if it is unknown."""
        try:
            return Version.of(json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return Version()

    def begin(self, version: Version) -> None:
        """Remove the bytes, and begin with `version`."""
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps(asdict(version)), encoding="utf-8")

    def discard(self) -> None:
        """Remove the bytes and their version."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
