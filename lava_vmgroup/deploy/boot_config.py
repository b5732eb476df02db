# SPDX-License-Identifier: MIT
"""Finding the kernel inside a disk image, without root and without mounting it.

A virtual machine boots much quicker, and on more machines, from its kernel than through
firmware.  What is read is what U-Boot's distro boot reads (``extlinux.conf``), else the kernel
under the names that Debian gives it.  The image is the user's: nothing in it is trusted, so its
file names are checked before they become arguments.
"""

from __future__ import annotations

import abc
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError

_SECTOR = 512
_EXT_MAGIC = (0x438, b"\x53\xef")
_FAT_MAGICS = ((0x36, b"FAT"), (0x52, b"FAT32"))
_CONFIG_LIMIT = 65536
_SAFE_NAME = re.compile(r"[A-Za-z0-9._+~/-]+")
_EXTLINUX = ("/boot/extlinux/extlinux.conf", "/extlinux/extlinux.conf")
_DEBIAN = (("/boot/vmlinuz", "/boot/initrd.img"), ("/vmlinuz", "/initrd.img"))
_MAX_LINKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFiles:
    """What an image boots, taken out of it."""

    kernel: Path
    initrd: Path | None
    append: str | None
    """The kernel's command line; None where the image does not say it."""
    partition: int
    """The number of the partition it was found on; 0 when the image has no partitions."""


def extract_boot_files(image: Path, folder: Path, deadline: Deadline) -> BootFiles | None:
    """Copy kernel and initrd of the image's default boot entry into `folder`.

    None when the image has no boot configuration that is understood.
    """
    for number, offset in _partitions(image, deadline):
        files = _file_system(image, offset, deadline)
        if files is None:
            continue
        entry = _extlinux_entry(files) or _debian_entry(files)
        if entry is None:
            continue
        kernel, initrd, append = entry
        return BootFiles(
            kernel=files.extract(kernel, folder / "kernel"),
            initrd=files.extract(initrd, folder / "initrd") if initrd else None,
            append=append,
            partition=number,
        )
    return None


def _extlinux_entry(files: _FileSystem) -> tuple[str, str | None, str | None] | None:
    for path in _EXTLINUX:
        text = files.read_text(path)
        entry = _default_entry(text) if text else {}
        kernel = entry.get("kernel", entry.get("linux"))
        if kernel is None:
            continue
        base = PurePosixPath(path).parent
        initrd = entry.get("initrd")
        return str(base / kernel), str(base / initrd) if initrd else None, entry.get("append", "")
    return None


def _debian_entry(files: _FileSystem) -> tuple[str, str | None, str | None] | None:
    for kernel, initrd in _DEBIAN:
        if files.exists(kernel):
            return kernel, initrd if files.exists(initrd) else None, None
    return None


def _default_entry(text: str) -> dict[str, str]:
    """The directives of the entry that an ``extlinux.conf`` boots by default."""
    default: str | None = None
    entries: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.splitlines():
        keyword, _, value = line.strip().partition(" ")
        keyword, value = keyword.lower(), value.strip()
        if keyword == "default":
            default = value
        elif keyword == "label":
            current = entries.setdefault(value, {})
        elif keyword and not keyword.startswith("#"):
            current.setdefault(keyword, value)
    if default in entries:
        return entries[default]
    return next(iter(entries.values()), {})


def _partitions(image: Path, deadline: Deadline) -> Iterator[tuple[int, int]]:
    """Number and offset in bytes of each partition; the whole image when it has no table."""
    result = _run(["sfdisk", "--json", str(image)], deadline)
    if result.returncode != 0:
        yield 0, 0
        return
    table = json.loads(result.stdout)["partitiontable"]
    for number, partition in enumerate(table.get("partitions", []), start=1):
        yield number, partition["start"] * _SECTOR


def _file_system(image: Path, offset: int, deadline: Deadline) -> _FileSystem | None:
    with image.open("rb") as stream:
        stream.seek(offset)
        head = stream.read(0x440)

    def shows(position: int, magic: bytes) -> bool:
        return head[position : position + len(magic)] == magic

    if shows(*_EXT_MAGIC):
        return _Ext(image, offset, deadline)
    if any(shows(*magic) for magic in _FAT_MAGICS):
        return _Fat(image, offset, deadline)
    return None


class _FileSystem(abc.ABC):
    """A file system inside an image, read by a program that needs no mount."""

    def __init__(self, image: Path, offset: int, deadline: Deadline) -> None:
        self._image = image
        self._offset = offset
        self._deadline = deadline

    @abc.abstractmethod
    def _cat(self, path: str) -> bytes | None:
        """The content of a regular file; None or nothing when there is none."""

    def _resolve(self, path: str) -> str | None:
        """The path behind symbolic links; None when it is not there or not safe to name."""
        return path if _SAFE_NAME.fullmatch(path) else None

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return self._resolve(path) is not None and bool(self._cat(path))

    def read_text(self, path: str) -> str | None:
        """The text of a small file; None when there is none."""
        data = self._cat(path)
        return data[:_CONFIG_LIMIT].decode(errors="replace") if data else None

    def extract(self, path: str, target: Path) -> Path:
        """Copy a file out of the image."""
        data = self._cat(path)
        if not data:
            raise InfrastructureError(
                f"{self._image.name} says that it boots {path}, which is not in it"
            )
        target.write_bytes(data)
        return target


class _Ext(_FileSystem):
    """ext2, ext3 and ext4, by debugfs."""

    def _request(self, request: str) -> bytes:
        target = f"{self._image}?offset={self._offset}"
        return _run(["debugfs", "-R", request, target], self._deadline).stdout

    def _resolve(self, path: str) -> str | None:
        for _ in range(_MAX_LINKS):
            if not _SAFE_NAME.fullmatch(path):
                return None
            status = self._request(f"stat {path}").decode(errors="replace")
            link = re.search(r'Fast link dest: "([^"]*)"', status)
            if link is None:
                return path if "Type: regular" in status else None
            path = str(PurePosixPath(path).parent / link[1])
        return None

    def _cat(self, path: str) -> bytes | None:
        real = self._resolve(path)
        return None if real is None else self._request(f"cat {real}")


class _Fat(_FileSystem):
    """FAT, by mtools."""

    def _cat(self, path: str) -> bytes | None:
        real = self._resolve(path)
        if real is None:
            return None
        source = f"{self._image}@@{self._offset}"
        result = _run(["mtype", "-i", source, f"::{real}"], self._deadline)
        return result.stdout if result.returncode == 0 else None


def _run(argv: Sequence[str], deadline: Deadline) -> subprocess.CompletedProcess[bytes]:
    deadline.check()
    try:
        return subprocess.run(
            argv,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=deadline.remaining_s,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "MTOOLS_SKIP_CHECK": "1"},
        )
    except FileNotFoundError as error:
        package = {"debugfs": "e2fsprogs", "mtype": "mtools", "sfdisk": "fdisk"}[argv[0]]
        raise InfrastructureError(
            f"the dispatcher has no {argv[0]}, which reads disk images",
            hint=f"install the package {package}",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise deadline.error() from error
