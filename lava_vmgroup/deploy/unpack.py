# SPDX-License-Identifier: MIT
"""Unpacking disk images and kernels, recognised by what they are, not by what they are called."""

from __future__ import annotations

import bz2
import enum
import gzip
import io
import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lava_vmgroup import tars
from lava_vmgroup.connections.program import ProgramOutput, run_tool
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import JobError
from lava_vmgroup.progress import Progress
from lava_vmgroup.sparse import Readable, write_sparse

_HEAD = 1024
_BUFFER = 1 << 20
_MAX_LAYERS = 4
MAX_UNPACKED = 64 << 30
"""Bytes of an image, holes included: more than boards' cards and images have."""

_XZ_MEMORY = 256 << 20
"""What unpacking xz may take; its strongest usual compression takes a quarter of that."""

BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError)
"""What reading a damaged file raises."""


class Layer(enum.Enum):
    """What a file may be packed in; the value is the magic number and where it is."""

    GZIP = (0, b"\x1f\x8b\x08")
    BZIP2 = (0, b"BZh")
    XZ = (0, b"\xfd7zXZ\x00")
    ZSTD = (0, b"\x28\xb5\x2f\xfd")
    QCOW2 = (0, b"QFI\xfb")
    TAR = (257, b"ustar")


class _Limited(io.RawIOBase):
    def __init__(self, stream: Readable, name: str, limit: int) -> None:
        super().__init__()
        self._stream = stream
        self._name = name
        self._limit = self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise JobError(f"{self._name} unpacks to more than {self._limit >> 20} MiB")
        buffer[: len(data)] = data
        return len(data)


def limited(stream: Readable, name: str, limit: int) -> io.BufferedReader:
    """What `stream` has; reading more than `limit` bytes raises `JobError`."""
    return io.BufferedReader(_Limited(stream, name, limit), _BUFFER)


class Unpack(enum.Enum):
    """What a file is for, which says whether it is unpacked."""

    NEVER = enum.auto()
    """It is used as it is: a ramdisk, a test definition."""
    DISK = enum.auto()
    """A disk image is unpacked down to the raw image, whatever it is called."""
    KERNEL = enum.auto()
    """A kernel or a device tree is unpacked when its name says that it is packed, and what is
    inside can be booted."""


_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
SUFFIXES = frozenset({*_COMPRESSED, ".tar", ".tgz", ".txz", ".qcow2"})
"""What the names of packed files end with."""

_BOOTABLE = (
    (0x38, b"ARM\x64"),  # arm64 Image
    (0x24, b"\x18\x28\x6f\x01"),  # arm zImage
    (0x202, b"HdrS"),  # x86 bzImage
    (0, b"\x27\x05\x19\x56"),  # U-Boot's uImage
    (0, b"\xd0\x0d\xfe\xed"),  # a device tree, or a FIT image
)


def layer_of(head: bytes) -> Layer | None:
    """What a file is packed in, by its first 1024 bytes; None for one that is not."""
    for layer in Layer:
        if _shows(head, *layer.value):
            return layer
    return None


def wants_unpacking(path: Path, name: str, purpose: Unpack, deadline: Deadline) -> bool:
    """Whether the file at `path`, called `name` in the job, is to be unpacked."""
    head = _head_of(path)
    layer = layer_of(head)
    if purpose is Unpack.NEVER or layer is None:
        return False
    if purpose is Unpack.DISK:
        return True
    if PurePosixPath(name).suffix not in _COMPRESSED or layer in (Layer.TAR, Layer.QCOW2):
        return False
    with (
        damage_reported(name),
        path.open("rb", buffering=0) as file,
        decompressed(file, deadline) as stream,
    ):
        inner = stream.read(_HEAD)
    return any(_shows(inner, *magic) for magic in _BOOTABLE)


def unpack(source: Path, name: str, scratch: Path, deadline: Deadline, tell: Progress) -> Path:
    """Unpack a file layer by layer into the folder `scratch`, blocks of zeros as holes.

    `name` is for messages.  Returns the file in `scratch` that is packed in nothing.  Raises
    `JobError` for what is damaged, nested too deeply, or no archive of a single image.
    """
    path = source
    for depth in range(_MAX_LAYERS):
        layer = layer_of(_head_of(path))
        if layer is None:
            return path
        target = scratch / f"layer{depth}"
        with damage_reported(name):
            if layer is Layer.QCOW2:
                _convert(path, name, target, deadline)
            else:
                _unpack_stream(path, name, target, deadline, tell)
        if path != source:
            path.unlink()
        path = target
    raise JobError(f"{name} is packed more than {_MAX_LAYERS} times")


@contextmanager
def decompressed(file: io.FileIO, deadline: Deadline) -> Iterator[io.BufferedReader]:
    """What is compressed from the file's position on as a stream; else the file from there on."""
    layer = layer_of(os.pread(file.fileno(), _HEAD, file.tell()))
    with ExitStack() as stack:
        stream: Any = file
        match layer:
            case Layer.GZIP:
                stream = stack.enter_context(gzip.GzipFile(fileobj=file))
            case Layer.BZIP2:
                stream = stack.enter_context(_Streams(file, bz2.BZ2Decompressor))
            case Layer.XZ:
                stream = stack.enter_context(_Streams(file, _new_xz))
            case Layer.ZSTD:
                stream = stack.enter_context(_Zstd(file, deadline))
        reader = io.BufferedReader(stream, _BUFFER)
        yield reader
        reader.detach()  # it would close the file


@contextmanager
def damage_reported(name: str) -> Iterator[None]:
    """Say of a file that cannot be unpacked that this is the file's fault."""
    try:
        yield
    except BROKEN as error:
        raise JobError(
            f"{name} cannot be unpacked: {error or type(error).__name__}",
            hint="is the file damaged, or cut off?",
        ) from error


_Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


class _Streams(io.RawIOBase):
    """What is in the streams that a file consists of; what follows the last one is left alone.

    Python's own file objects take as much memory as a file asks for, or take damage for an error
    of the system's.
    """

    def __init__(self, file: io.FileIO, anew: Callable[[], _Decompressor]) -> None:
        super().__init__()
        self._file = file
        self._anew = anew
        self._stream = anew()
        self._is_first = True

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`; raises `EOFError` for a damaged file."""
        while True:
            packed = b""
            if self._stream.eof:
                packed = self._stream.unused_data or self._file.read(_BUFFER)
                if not packed.lstrip(b"\0"):  # what fills the end up
                    return 0
                self._stream, self._is_first = self._anew(), False
            elif self._stream.needs_input and not (packed := self._file.read(_BUFFER)):
                raise EOFError("it ends before its end was reached")
            try:
                data = self._stream.decompress(packed, len(buffer))
            except (OSError, lzma.LZMAError) as error:
                if not self._is_first:
                    return 0
                raise EOFError(str(error)) from error
            if data:
                buffer[: len(data)] = data
                return len(data)


def _new_xz() -> _Decompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _Zstd(ProgramOutput):
    """What the program ``zstd`` makes of a file; Python has no zstd of its own before 3.14."""

    def __init__(self, file: io.FileIO, deadline: Deadline) -> None:
        super().__init__(["zstd", "-d", "-c", "-q"], deadline, stdin=file)

    def readinto(self, buffer: Any) -> int:
        """See `ProgramOutput`; raises `EOFError` for a damaged file."""
        count = super().readinto(buffer)
        if count == 0:
            status, words = self.wait()
            if status != 0:
                raise EOFError(words)
        return count


def _unpack_stream(path: Path, name: str, target: Path, deadline: Deadline, tell: Progress) -> None:
    """Undo compression, and take the image out of an archive inside it."""
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file, decompressed(file, deadline) as stream:

        def tell_position() -> None:
            tell(min(os.lseek(file.fileno(), 0, os.SEEK_CUR), size), size)

        is_tar = layer_of(stream.peek(_HEAD)) is Layer.TAR
        image = limited(stream, name, MAX_UNPACKED)
        if is_tar:
            _unpack_tar(image, name, target, tell_position)
        else:
            write_sparse(image, target, tell_position)


def _unpack_tar(stream: IO[bytes], name: str, target: Path, tell: Callable[[], None]) -> None:
    """Take the single file, or the single ``*.img``, out of an archive that is read once."""
    files: list[str] = []
    with tars.opened(stream, "r|") as archive:
        for member in tars.members(archive):
            if not is_inside(member.name):
                raise JobError(f"{name} has a member outside its own folder: {member.name!r}")
            if not member.isreg():
                continue
            files.append(member.name)
            if len(files) == 1 or _images(files) == [member.name]:
                content = archive.extractfile(member)
                assert content is not None, "a regular file has content"
                # One full of holes may have more than its archive.
                write_sparse(limited(content, name, MAX_UNPACKED), target, tell)
    if len(files) != 1 and len(_images(files)) != 1:
        shown = ", ".join(files[:5]) or "nothing"
        raise JobError(
            f"{name} holds no single disk image, but {shown}",
            hint="pack one file, or one that is called *.img",
        )


def is_inside(name: str) -> bool:
    """Whether the name of an archive's member stays within the folder that it is unpacked in."""
    return not name.startswith("/") and ".." not in name.split("/")


def _images(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".img")]


def _convert(path: Path, name: str, target: Path, deadline: Deadline) -> None:
    """Make a raw image of a qcow2 image, which must not refer to other files."""
    described = run_tool(["qemu-img", "info", "--output=json", "-f", "qcow2", str(path)], deadline)
    if described.returncode == 0:
        facts = json.loads(described.stdout)
        if facts["virtual-size"] > MAX_UNPACKED:
            raise JobError(f"{name} unpacks to more than {MAX_UNPACKED >> 20} MiB")
        inner = facts.get("format-specific", {}).get("data", {})
        if "backing-filename" in facts or "data-file" in inner:
            raise JobError(
                f"{name} is a qcow2 image over another file",
                hint="make it complete: qemu-img convert -O qcow2 IMAGE COMPLETE",
            )
        described = run_tool(
            ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(path), str(target)], deadline
        )
    if described.returncode != 0:
        words = described.stderr.decode(errors="replace").strip()
        raise JobError(f"{name} is no qcow2 image that qemu-img can read: {words}")


def _head_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)


def _shows(head: bytes, position: int, magic: bytes) -> bool:
    return head[position : position + len(magic)] == magic
