# SPDX-License-Identifier: MIT
"""Unpacking disk images and kernels, which are recognised by their content, not their names."""

from __future__ import annotations

import enum
import io
import json
import lzma
import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lava_vmgroup.base import tars
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.sparse import Readable, write_sparse
from lava_vmgroup.connections.process import TooMuchOutput
from lava_vmgroup.connections.program import run_tool
from lava_vmgroup.deploy.kernels import check_zboot, is_bootable, zboot_payload
from lava_vmgroup.deploy.layers import (
    HEAD,
    Layer,
    damage_reported,
    decompressed,
    layer_of,
    layer_of_file,
)

_BUFFER = 1 << 20
_MAX_LAYERS = 4
_IMAGE_SUFFIXES = (".img", ".raw", ".wic")
"""The endings of the names of disk images, by which one is found among other files."""

Tell = Callable[[int, int], None]
"""A function that is called with bytes done and bytes in all."""

MAX_UNPACKED = 64 << 30
"""Limit of bytes of an image, holes included: more than any card or image has."""


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
    """Return a stream of the bytes of `stream`; more than `limit` of them raise `JobError`."""
    return io.BufferedReader(_Limited(stream, name, limit), _BUFFER)


class Unpack(enum.Enum):
    """The use of a file, which decides whether it is unpacked."""

    NEVER = enum.auto()
    """A ramdisk or a test definition, which is used as it is."""
    DISK = enum.auto()
    """A disk image, which is unpacked down to the raw image; its name does not matter."""
    KERNEL = enum.auto()
    """A kernel or a device tree, which is unpacked if a bootable file is inside."""


_COMPRESSED = (".gz", ".bz2", ".xz", ".lzma", ".zst", ".lz4")
_TARS = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tlz", ".tzst")
SUFFIXES = frozenset({*_COMPRESSED, *_TARS, ".qcow2", ".zip", ".simg"})
"""The endings of packed files' names."""

_LEAKS = 3  # the status of qemu-img check if some room is unused, and nothing else is wrong
_MAX_MAP = 64 << 20
"""Limit of bytes of qemu-img's map of an image, about 100 for each run of clusters."""

_NO_KERNEL = (Layer.TAR, Layer.QCOW2, Layer.ZIP, Layer.ANDROID_SPARSE)
"""Packings that a kernel does not have."""


def wants_unpacking(path: Path, name: str, purpose: Unpack, deadline: Deadline) -> bool:
    """Return whether the file at `path`, called `name` in the job, is to be unpacked."""
    layer = layer_of_file(path)
    if purpose is Unpack.NEVER or layer is None:
        return False
    if purpose is Unpack.DISK or layer is Layer.ZBOOT:
        return True
    if layer in _NO_KERNEL:
        return False
    with (
        damage_reported(name),
        path.open("rb", buffering=0) as file,
        decompressed(file, deadline) as stream,
    ):
        inner = stream.read(HEAD)
    return is_bootable(inner) or layer_of(inner) is Layer.ZBOOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacking:
    """The unpacking of one file, for all of its layers."""

    name: str
    """The file's name in messages."""
    deadline: Deadline
    tell: Tell
    """Called with the progress in a layer."""
    warn: Callable[[str], None]
    """Called with the message of a program that ignores a part of the file."""


def unpack(source: Path, scratch: Path, unpacking: Unpacking) -> Path:
    """Unpack a file layer by layer into the folder `scratch`, and return the unpacked file.

    Blocks of zeros become holes.  A file that is not packed is returned itself.  Raises `JobError`
    if it is damaged, packed too many times, or an archive that has no single image.
    """
    path = source
    for depth in range(_MAX_LAYERS):
        layer = layer_of_file(path)
        if layer is None:
            return path
        target = scratch / f"layer{depth}"
        with damage_reported(unpacking.name):
            _unpack_layer(layer, path, target, unpacking)
        if path != source:
            path.unlink()
        path = target
    raise JobError(f"{unpacking.name} is packed more than {_MAX_LAYERS} times")


def _unpack_layer(layer: Layer, path: Path, target: Path, unpacking: Unpacking) -> None:
    match layer:
        case Layer.QCOW2:
            _convert(path, unpacking.name, target, unpacking.deadline)
        case Layer.ANDROID_SPARSE:
            _expand(path, unpacking.name, target, unpacking.deadline)
        case Layer.ZIP:
            _unpack_zip(path, unpacking.name, target, unpacking.tell)
        case Layer.ZBOOT:
            _take_payload(path, unpacking.name, target)
        case _:
            _unpack_stream(path, target, unpacking)


def _unpack_stream(path: Path, target: Path, unpacking: Unpacking) -> None:
    """Decompress a file; if an archive is inside, take the image out of it."""
    size = path.stat().st_size
    with (
        path.open("rb", buffering=0) as file,
        decompressed(file, unpacking.deadline, unpacking.warn) as stream,
    ):

        def tell_position() -> None:
            unpacking.tell(min(os.lseek(file.fileno(), 0, os.SEEK_CUR), size), size)

        is_tar = layer_of(stream.peek(HEAD)) is Layer.TAR
        image = limited(stream, unpacking.name, MAX_UNPACKED)
        if is_tar:
            _unpack_tar(image, unpacking.name, target, tell_position)
            while stream.read(_BUFFER):  # read to the end, as damage behind the archive counts, too
                tell_position()
        else:
            write_sparse(image, target, tell_position)


def _unpack_tar(stream: IO[bytes], name: str, target: Path, tell: Callable[[], None]) -> None:
    """Take the single file, or the single image by its name, out of an archive read once."""
    files: list[str] = []
    with tars.opened(stream, "r|") as archive:
        for member in tars.members(archive):
            if not is_inside(member.name):
                raise JobError(f"{name} has a member outside its own folder: {member.name!r}")
            if not member.isreg() or _is_of_macos(member.name):
                continue
            files.append(member.name)
            if len(files) == 1 or _images(files) == [member.name]:
                content = archive.extractfile(member)
                assert content is not None, "a regular file has content"
                # A member full of holes may have more bytes than its archive.
                write_sparse(limited(content, name, MAX_UNPACKED), target, tell)
    if len(files) != 1 and len(_images(files)) != 1:
        raise _no_single_image(name, files)


def _unpack_zip(path: Path, name: str, target: Path, tell: Tell) -> None:
    """Take the single file, or the single image by its name, out of an archive."""
    with _zip_damage_reported(), zipfile.ZipFile(path) as archive:
        members = [
            info
            for info in archive.infolist()
            if not info.is_dir() and not _is_of_macos(info.filename)
        ]
        names = [info.filename for info in members]
        images = [info for info in members if info.filename in _images(names)]
        chosen = members if len(members) == 1 else images
        if len(chosen) != 1:
            raise _no_single_image(name, names)
        if min(info.header_offset for info in archive.infolist()) > 0:
            raise zipfile.BadZipFile("something else is in front of its archive")
        size = chosen[0].file_size
        with archive.open(chosen[0]) as content:
            stream = limited(content, name, MAX_UNPACKED)
            write_sparse(stream, target, lambda: tell(min(content.tell(), size), size))


@contextmanager
def _zip_damage_reported() -> Iterator[None]:
    """Raise `zipfile.BadZipFile` for the reader's other errors: a cipher, a broken header."""
    try:
        yield
    # zipfile says by a RuntimeError that it does not know a method of compression.
    except (RuntimeError, lzma.LZMAError, ValueError, struct.error) as error:
        raise zipfile.BadZipFile(str(error)) from error


def _no_single_image(name: str, files: Sequence[str]) -> JobError:
    return JobError(
        f"{name} holds no single disk image, but {', '.join(files[:5]) or 'nothing'}",
        hint=f"pack one file, or one that is called *{', *'.join(_IMAGE_SUFFIXES)}",
    )


def is_inside(name: str) -> bool:
    """Return whether an archive's member `name` stays within the folder of the unpacking."""
    return not name.startswith("/") and ".." not in name.split("/")


def _images(names: list[str]) -> list[str]:
    return [name for name in names if name.lower().endswith(_IMAGE_SUFFIXES)]


def _is_of_macos(name: str) -> bool:
    """Return whether a member is what macOS packs beside each file: its attributes."""
    *folders, last = name.split("/")
    return last.startswith("._") or last == ".DS_Store" or "__MACOSX" in folders


def _convert(path: Path, name: str, target: Path, deadline: Deadline) -> None:
    """Convert a qcow2 image, which must not refer to other files, to a raw image."""
    described = run_tool(["qemu-img", "info", "--output=json", "-f", "qcow2", str(path)], deadline)
    if described.returncode == 0:
        facts = json.loads(described.stdout)
        if facts["virtual-size"] > MAX_UNPACKED:
            raise _too_large(name)
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
    _check_qcow2(path, name, deadline)


def _check_qcow2(path: Path, name: str, deadline: Deadline) -> None:
    """Raise `JobError` for a qcow2 image that lacks data: qemu-img reads zeros in its place."""
    command = ["qemu-img", "check", "-q", "-f", "qcow2", str(path)]
    try:
        is_whole = run_tool(command, deadline).returncode in (0, _LEAKS)
    except TooMuchOutput:  # it prints a line for each missing cluster
        is_whole = False
    # `check` finds whole clusters behind the end of the file, `map` a part of the last one.
    if not is_whole or _end_of_data(path, deadline) > path.stat().st_size:
        raise JobError(
            f"{name} is a damaged qcow2 image",
            hint=f"is it cut off? `qemu-img check {name}` shows its errors",
        )


def _end_of_data(path: Path, deadline: Deadline) -> int:
    """Return the number of bytes that the file of a qcow2 image must have for its data."""
    command = ["qemu-img", "map", "--output=json", "-f", "qcow2", str(path)]
    mapped = run_tool(command, deadline, limit=_MAX_MAP)
    extents = json.loads(mapped.stdout) if mapped.returncode == 0 else []
    ends = (one["offset"] + one["length"] for one in extents if one["data"] and "offset" in one)
    return max(ends, default=0)


_SPARSE_HEAD = struct.Struct("<12xII8x")
"""Fields of an Android sparse image: bytes of a block, and number of blocks when unpacked."""


def _expand(path: Path, name: str, target: Path, deadline: Deadline) -> None:
    """Convert an Android sparse image to a raw image."""
    head = head_of(path)
    if len(head) < _SPARSE_HEAD.size:
        raise EOFError("it ends within its header")
    block, count = _SPARSE_HEAD.unpack_from(head)
    if block * count > MAX_UNPACKED:
        raise _too_large(name)
    result = run_tool(["simg2img", str(path), str(target)], deadline)
    if result.returncode != 0 or target.stat().st_size != block * count:
        words = result.stderr.decode(errors="replace").strip()
        raise EOFError(words or "simg2img does not find all of its blocks")


def _take_payload(path: Path, name: str, target: Path) -> None:
    """Copy the packed kernel out of an EFI program that unpacks it."""
    head = head_of(path)
    check_zboot(head, name)
    start, size = zboot_payload(head)
    with path.open("rb") as source, target.open("wb") as file:
        source.seek(start)
        shutil.copyfileobj(source, file, _BUFFER)
        if file.tell() < size:
            raise EOFError("it ends within the kernel")
        file.truncate(size)


def _too_large(name: str) -> JobError:
    return JobError(f"{name} unpacks to more than {MAX_UNPACKED >> 20} MiB")


def head_of(path: Path) -> bytes:
    """Return the beginning of a file, which shows its format."""
    with path.open("rb") as stream:
        return stream.read(HEAD)
