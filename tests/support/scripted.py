# SPDX-License-Identifier: MIT
"""A console that says what it was told to say, whatever is typed."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from lava_vmgroup.deadline import Deadline


class Scripted:
    """A `ByteStream` of these chunks that ends after the last one."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.typed = b""
        self._chunks = iter(chunks)
        self._closed = threading.Event()

    def read(self) -> bytes:
        if self._closed.is_set():
            return b""
        return next((chunk for chunk in self._chunks if chunk), b"")

    def write(self, data: bytes, deadline: Deadline) -> None:
        deadline.check()
        self.typed += data

    def close(self) -> None:
        self._closed.set()
