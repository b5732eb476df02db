# SPDX-License-Identifier: MIT
"""References to files in a job: a path or URL, alone or with the digests of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

_DIGESTS = {"md5sum": 32, "sha256sum": 64, "sha512sum": 128}

FILE_SCHEMA: Mapping[str, Any] = {
    "type": ["string", "object"],
    "x-expected": "a path or URL, or an object with url and perhaps sha256sum",
    "minLength": 1,
    "additionalProperties": False,
    "required": ["url"],
    "properties": {
        "url": {"type": "string", "minLength": 1},
        **{
            name: {
                "type": "string",
                "pattern": rf"^[0-9a-fA-F]{{{digits}}}\Z",
                "x-expected": f"{digits} hexadecimal digits",
            }
            for name, digits in _DIGESTS.items()
        },
    },
}
"""The JSON schema of every parameter that names a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReference:
    """A file that a job names."""

    url: str
    """A URL, or a path that is relative to the job's folder."""
    digests: tuple[tuple[str, str], ...] = ()
    """The digests that the file must have: pairs of an algorithm's name in `hashlib` and digits."""

    @classmethod
    def of(cls, value: str | Mapping[str, str]) -> FileReference:
        """Return the reference in a job's checked plain data."""
        if isinstance(value, str):
            return cls(url=value)
        digests = tuple(
            (key.removesuffix("sum"), value[key].lower()) for key in _DIGESTS if key in value
        )
        return cls(url=value["url"], digests=digests)

    @property
    def sha256(self) -> str | None:
        """The SHA-256 that the file must have, or None if the job does not give it."""
        return dict(self.digests).get("sha256")

    @property
    def name(self) -> str:
        """The file's name without folders; ``download`` if the URL has no such name."""
        url = urlsplit(self.url)
        path = unquote(url.path) if url.scheme else self.url
        name = path.rstrip("/").rpartition("/")[2]
        return name if name not in ("", ".", "..") else "download"

    @property
    def shown(self) -> str:
        """The reference for messages: without a password, and without a query's secrets."""
        url = urlsplit(self.url)
        if not url.scheme:
            return self.url
        query = "?..." if url.query else ""
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}{query}"
