# SPDX-License-Identifier: MIT
"""Kernels out of Debian packages, and the few modules an image needs of them."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import re
import shutil
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError, run
from .packages import unpack

_SIGNATURE_MARKER = b"~Module signature appended~\n"
_SIGNATURE_INFO_SIZE = 12
_ZIMAGE, _ZIMAGE_AT = b"\x18\x28\x6f\x01", 0x24
_XZ = b"\xfd7zXZ\0"
_UIMAGE = 0x27051956
_LINUX_ARM_KERNEL_GZIP = (5, 2, 2, 1)
_ARMHF_START = 0x40208000
"""In the memory of QEMU's virt, with the TEXT_OFFSET of a kernel for all of Debian's boards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """An unpacked kernel package with its complete module index."""

    release: str
    image: Path
    tree: Path
    """A root folder whose /lib/modules/<release> holds every module."""
    files: dict[str, str]
    """Module name to its path below /lib/modules/<release>, '-' spelled '_'."""
    needs: dict[str, tuple[str, ...]]
    """Module name to the modules to load before it, in loading order."""
    builtin: frozenset[str]

    @property
    def modules_folder(self) -> Path:
        """The folder in which the module paths start."""
        return self.tree / "lib/modules" / self.release

    def with_dependencies(self, names: Iterable[str]) -> list[str]:
        """The modules to load, each after those it needs; built-in ones fall out."""
        ordered: dict[str, None] = {}
        for name in names:
            if name in self.builtin:
                continue
            if name not in self.files:
                raise BuildError(f"kernel {self.release} has no module {name}")
            ordered |= dict.fromkeys([*self.needs[name], name])
        return list(ordered)


def unpack_kernel(archive: Path, target: Path) -> Kernel:
    """Unpacks a linux-image package to `target` and indexes its modules."""
    target.mkdir(parents=True)
    (target / "usr/lib").mkdir(parents=True)
    (target / "lib").symlink_to("usr/lib")
    unpack(archive, target, lambda name: name.startswith("usr/"))
    (release,) = (folder.name for folder in (target / "lib/modules").iterdir())
    run(["depmod", "-b", target, release])
    folder = target / "lib/modules" / release
    files: dict[str, str] = {}
    needs: dict[str, tuple[str, ...]] = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, wanted = line.partition(":")
        files[_name(path)] = path
        # modules.dep lists the nearest first, loading starts with the farthest.
        needs[_name(path)] = tuple(_name(need) for need in reversed(wanted.split()))
    builtin = (folder / "modules.builtin").read_text().split()
    return Kernel(
        release=release,
        image=target / "boot" / f"vmlinuz-{release}",
        tree=target,
        files=files,
        needs=needs,
        builtin=frozenset(map(_name, builtin)),
    )


def _copy_module(kernel: Kernel, name: str, target: Path) -> None:
    """Copies a module without its signature.

    Kernels check no signature where none is, and on an emulated CPU the check
    takes longer than everything else about loading a module.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(
        _without_signature((kernel.modules_folder / kernel.files[name]).read_bytes())
    )


def _without_signature(module: bytes) -> bytes:
    """Cuts off what follows the ELF file: signature, lengths, marker."""
    if not module.endswith(_SIGNATURE_MARKER):
        return module
    # struct module_signature: the signature's length is its last word, big-endian.
    end = len(module) - len(_SIGNATURE_MARKER)
    (length,) = struct.unpack(">I", module[end - 4 : end])
    return module[: end - _SIGNATURE_INFO_SIZE - length]


def install_modules(kernel: Kernel, names: Iterable[str], root: Path) -> None:
    """Copies the modules and what they need to `root`, with an index for modprobe."""
    folder = root / "lib/modules" / kernel.release
    folder.mkdir(parents=True)
    for name in kernel.with_dependencies(names):
        _copy_module(kernel, name, folder / kernel.files[name])
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copyfile(kernel.modules_folder / index, folder / index)
    run(["depmod", "-b", root, kernel.release])


def keep_only_dependencies(folder: Path) -> None:
    """Drops the indexes that busybox does not need to load modules by their names."""
    for index in folder.glob("modules.*"):
        if index.name != "modules.dep":
            index.unlink()


def _name(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("-", "_")


def quickly_unpacked(image: bytes) -> bytes:
    """A 32-bit zImage in a form that QEMU unpacks; any other kernel as it is.

    A zImage unpacks itself, which takes 20 seconds in a virtual machine inside an emulated board.
    """
    if image[_ZIMAGE_AT : _ZIMAGE_AT + len(_ZIMAGE)] != _ZIMAGE:
        return image
    for found in re.finditer(re.escape(_XZ), image):
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        with contextlib.suppress(lzma.LZMAError):
            kernel = unpacker.decompress(image[found.start() :])
            if unpacker.eof:
                return _uimage(gzip.compress(kernel, mtime=0))
    return image


def _uimage(packed: bytes) -> bytes:
    """U-Boot's legacy format, around a kernel that gzip has packed."""

    def header(checksum: int) -> bytes:
        sizes = (_UIMAGE, checksum, 0, len(packed), _ARMHF_START, _ARMHF_START, zlib.crc32(packed))
        return struct.pack(">7I4B32s", *sizes, *_LINUX_ARM_KERNEL_GZIP, b"Linux")

    return header(zlib.crc32(header(0))) + packed
