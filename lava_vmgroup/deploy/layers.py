# SPDX-License-Identifier: MIT
"""The formats that files are packed in, and streams of their decompressed data.

The reference program of each compression undoes it, so several streams in one file, padding and
trailing data mean the same here as everywhere else.
"""

from __future__ import annotations

import enum
import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.connections.program import ProgramOutput

HEAD = 1024
"""Bytes at the beginning of a file that show the format of its packing."""

MEMORY = 1 << 30
"""Bytes of memory that undoing a compression may take: enough for ``zstd --long=30``."""

_BUFFER = 1 << 20
_GZIP_WARNS = 2  # gzip's exit status for a whole file with trailing data

BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile)
"""The errors of reading a damaged file."""


class TooMuchMemory(EOFError):
    """The error for a compression that needs more than `MEMORY` bytes."""


class Layer(enum.Enum):
    """A format that a file may be packed in; the value is the magic number and its position."""

    GZIP = (0, b"\x1f\x8b\x08")
    BZIP2 = (0, b"BZh")
    XZ = (0, b"\xfd7zXZ\x00")
    LZMA = (0, b"\x5d\x00\x00")  # the usual header; `_is_lzma` recognises the others
    ZSTD = (0, b"\x28\xb5\x2f\xfd")
    LZ4 = (0, b"\x04\x22\x4d\x18")
    LZ4_LEGACY = (0, b"\x02\x21\x4c\x18")
    QCOW2 = (0, b"QFI\xfb")
    ZIP = (0, b"PK\x03\x04")
    ANDROID_SPARSE = (0, b"\x3a\xff\x26\xed")
    TAR = (257, b"ustar")
    ZBOOT = (4, b"zimg")
    """A kernel inside an EFI program that unpacks it."""


_PROGRAMS = {
    Layer.GZIP: ("gzip", "-d", "-c"),
    Layer.BZIP2: ("bzip2", "-d", "-c"),
    Layer.XZ: ("xz", "-d", "-c", f"--memlimit-decompress={MEMORY}"),
    Layer.LZMA: ("xz", "-d", "-c", "--format=lzma", f"--memlimit-decompress={MEMORY}"),
    Layer.ZSTD: ("zstd", "-d", "-c", "-q", f"--memory={MEMORY >> 20}MB"),
    Layer.LZ4: ("lz4", "-d", "-c", "-q"),
    Layer.LZ4_LEGACY: ("lz4", "-d", "-c", "-q"),
}

_LZMA_HEADER = struct.Struct("<BIqB")  # and the first byte of the data
_LZMA_LARGEST = 1 << 38  # the limit of xz for a file of this format
_LZMA_SMALLEST = 4096
_LZMA_USUAL = 0x5D
_LZMA_PROPERTIES = 9 * 5 * 5
_LZMA_BITS = 4

_TAR_CHECKSUM = slice(148, 156)

_SKIPPABLE = b"\x2a\x4d\x18"
"""Bytes 1 to 3 of a frame without data, which zstd and lz4 may have in front."""
_SKIPPABLE_HEAD = struct.Struct("<4xI")
_WITH_FRAMES = (Layer.ZSTD, Layer.LZ4, Layer.LZ4_LEGACY)
_MAX_FRAMES = 1 << 16  # pzstd writes one for each part, of which it has hundreds


def layer_of(head: bytes) -> Layer | None:
    """Return the packing of data by its first `HEAD` bytes; None if it is not packed."""
    for layer in Layer:
        if shows(head, *layer.value) and (layer is not Layer.LZMA or _is_lzma(head)):
            return layer
    if _is_lzma(head):
        return Layer.LZMA
    return Layer.TAR if _is_old_tar(head) else None


def layer_at(descriptor: int, position: int = 0) -> Layer | None:
    """Return the packing of a file's data from `position` on; skip frames without data."""
    start = position
    for _ in range(_MAX_FRAMES):
        head = os.pread(descriptor, HEAD, position)
        if not is_skippable(head):
            layer = layer_of(head)
            return layer if position == start or layer in _WITH_FRAMES else None
        position += _SKIPPABLE_HEAD.size + _SKIPPABLE_HEAD.unpack_from(head)[0]
    return None


def layer_of_file(path: Path) -> Layer | None:
    """Return the packing of the file at `path`; None for one that is not packed."""
    with path.open("rb", buffering=0) as file:
        return layer_at(file.fileno())


def is_skippable(head: bytes) -> bool:
    """Return whether `head` begins a frame without data, which zstd and lz4 allow."""
    return len(head) >= _SKIPPABLE_HEAD.size and head[1:4] == _SKIPPABLE and head[0] >> 4 == 0x5


def shows(head: bytes, position: int, magic: bytes) -> bool:
    """Return whether `head` has `magic` at `position`."""
    return head[position : position + len(magic)] == magic


@contextmanager
def decompressed(
    file: io.FileIO, deadline: Deadline, warn: Callable[[str], None] | None = None
) -> Iterator[io.BufferedReader]:
    """Yield a stream of the decompressed data from the file's position on, or of the data itself.

    Reading from it raises `EOFError` if the reference program fails.  If the program accepts the
    data with a message, such as about trailing data that it ignores, `warn` is called with that.
    """
    layer = layer_at(file.fileno(), file.tell())
    with ExitStack() as stack:
        stream: Any = file
        if layer in _PROGRAMS:
            stream = stack.enter_context(_Decompressed(_PROGRAMS[layer], file, deadline, warn))
        reader = io.BufferedReader(stream, _BUFFER)
        yield reader
        reader.detach()  # it would close the file


@contextmanager
def damage_reported(name: str) -> Iterator[None]:
    """Raise `JobError` instead of the errors in `BROKEN`: the file cannot be unpacked."""
    try:
        yield
    except TooMuchMemory as error:
        raise JobError(
            f"unpacking {name} takes more than {MEMORY >> 20} MiB of memory",
            hint="pack it with a smaller window (zstd --long=30) or dictionary (xz -9)",
        ) from error
    except BROKEN as error:
        raise JobError(
            f"{name} cannot be unpacked: {error or type(error).__name__}",
            hint="is the file damaged, or cut off?",
        ) from error


class _Decompressed(ProgramOutput):
    """The output of a decompressor that reads a file."""

    def __init__(
        self,
        argv: tuple[str, ...],
        file: io.FileIO,
        deadline: Deadline,
        warn: Callable[[str], None] | None,
    ) -> None:
        super().__init__(argv, deadline, stdin=file)
        self._name = argv[0]
        self._warn = warn

    def readinto(self, buffer: Any) -> int:
        """See `ProgramOutput`; raises `EOFError` for a damaged file."""
        count = super().readinto(buffer)
        if count == 0:
            status, words = self.wait()
            if status != 0 and (self._name, status) != ("gzip", _GZIP_WARNS):
                words = words or f"{self._name} ended with status {status}"
                raise TooMuchMemory(words) if "memory" in words.lower() else EOFError(words)
            if words and self._warn is not None:
                self._warn(" ".join(words.split()))
                self._warn = None
        return count


def _is_lzma(head: bytes) -> bool:
    """Return whether a header of the format ``lzma``, which has no magic number, is plausible.

    The usual header is one case; the rules for the others are those of ``xz -d``.
    """
    if len(head) < _LZMA_HEADER.size:
        return False
    header: tuple[int, int, int, int] = _LZMA_HEADER.unpack_from(head)
    properties, dictionary, size, first = header
    if not -1 <= size < _LZMA_LARGEST:
        return False
    if properties == _LZMA_USUAL and dictionary & 0xFFFF == 0 and dictionary > 0:
        return True
    literal, position = properties % 9, properties // 9 % 5
    top = 1 << max(0, dictionary.bit_length() - 1)
    return bool(
        properties < _LZMA_PROPERTIES
        and literal + position <= _LZMA_BITS
        and dictionary >= _LZMA_SMALLEST
        and dictionary in (top, top + top // 2)
        and size != 0
        and first == 0
    )


def _is_old_tar(head: bytes) -> bool:
    """Return whether `head` has the checksum of tar; before POSIX, tar has no magic number."""
    field = head[_TAR_CHECKSUM].strip(b" \0")
    if len(head) < tarfile.BLOCKSIZE or not head[0] or not field or field.strip(b"01234567"):
        return False
    others = sum(head[: tarfile.BLOCKSIZE]) - sum(head[_TAR_CHECKSUM])
    return int(field, 8) == others + ord(" ") * len(head[_TAR_CHECKSUM])
