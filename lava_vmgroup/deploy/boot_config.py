# SPDX-License-Identifier: MIT
"""Finding the kernel inside a disk image, without root and without mounting it.

A virtual machine boots much quicker, and on more machines, from its kernel than through
firmware.  What is read is what U-Boot's distro boot reads (``extlinux.conf``), else the kernel
under the names that Debian gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.filesystems import FileSystem, file_system, partitions
from lava_vmgroup.errors import InfrastructureError

_CONFIG_LIMIT = 65536
_EXTLINUX = ("/boot/extlinux/extlinux.conf", "/extlinux/extlinux.conf")
_DEBIAN = (("/boot/vmlinuz", "/boot/initrd.img"), ("/vmlinuz", "/initrd.img"))


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
    for number, offset in partitions(image, deadline).items():
        files = file_system(image, offset, deadline)
        if files is None:
            continue
        entry = _extlinux_entry(files) or _debian_entry(files)
        if entry is None:
            continue
        kernel, initrd, append = entry
        return BootFiles(
            kernel=_extract(image, files, kernel, folder / "kernel"),
            initrd=_extract(image, files, initrd, folder / "initrd") if initrd else None,
            append=append,
            partition=number,
        )
    return None


def _extlinux_entry(files: FileSystem) -> tuple[str, str | None, str | None] | None:
    for path in _EXTLINUX:
        text = _text(files, path)
        entry = _default_entry(text) if text else {}
        kernel = entry.get("kernel", entry.get("linux"))
        if kernel is None:
            continue
        base = PurePosixPath(path).parent
        initrd = entry.get("initrd")
        return str(base / kernel), str(base / initrd) if initrd else None, entry.get("append", "")
    return None


def _debian_entry(files: FileSystem) -> tuple[str, str | None, str | None] | None:
    for kernel, initrd in _DEBIAN:
        if files.read(kernel):
            return kernel, initrd if files.read(initrd) else None, None
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


def _text(files: FileSystem, path: str) -> str | None:
    """The text of a small file; None when there is none."""
    data = files.read(path)
    return data[:_CONFIG_LIMIT].decode(errors="replace") if data else None


def _extract(image: Path, files: FileSystem, path: str, target: Path) -> Path:
    """Copy a file out of the image."""
    data = files.read(path)
    if not data:
        raise InfrastructureError(f"{image.name} says that it boots {path}, which is not in it")
    target.write_bytes(data)
    return target
