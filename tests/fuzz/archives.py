# SPDX-License-Identifier: MIT
"""Gives changed archives, ramdisks and disk images to whatever reads such files.

``python tests/fuzz/archives.py --count 100000 --seed 7`` ends with status 0 if each was read or
refused by an error of ours, and if nothing was written outside of the folder that it was read in.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import random
import subprocess
import sys
import tarfile
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2]))

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.progress import Progress
from lava_vmgroup.deploy import overlays, tftp, unpack
from lava_vmgroup.deploy.boot_config import extract_boot_files
from lava_vmgroup.testdefs import tree
from lava_vmgroup.testshell.collected import read_results
from tests.fuzz import mutate
from tests.support.disk_images import ext_image, fat_image

CORPUS = Path(__file__).with_name("corpus") / "archives"
LIMIT_S = 60.0
LARGEST = 16 << 20
EXTLINUX = "default a\nlabel a\nkernel ../vmlinuz\ninitrd /boot/initrd\nappend root=/dev/vda1\n"

Read = Callable[[Path, Path], object]
"""Reads a file, and may write into a folder."""


def soon() -> Deadline:
    """The limit for one input."""
    return Deadline.after("the input", LIMIT_S)


def as_image(path: Path, folder: Path) -> None:
    """As a disk image of a job."""
    unpacking = unpack.Unpacking(
        name=path.name,
        deadline=soon(),
        tell=Progress(NodeLog(), "image", soon()),
        warn=lambda _: None,
    )
    unpack.unpack(path, folder, unpacking)


def as_bootable(path: Path, folder: Path) -> None:
    """As a disk image that has a kernel in it."""
    extract_boot_files(path, folder, soon())


def as_test(path: Path, folder: Path) -> None:
    """As what a test brings along."""
    tree.read_tar(base64.b64encode(path.read_bytes()).decode())


def as_results(path: Path, folder: Path) -> None:
    """As what a system under test has packed."""
    read_results(path.read_bytes())


def as_overlay(path: Path, folder: Path) -> None:
    """As an overlay of a ramdisk."""
    (folder / "initrd").write_bytes(gzip.compress(b"a ramdisk"))
    overlay = overlays.Overlay(path=path, name=path.name)
    overlays.with_overlays(folder / "initrd", [overlay], folder / "made", soon())


def as_ramdisk(path: Path, folder: Path) -> None:
    """As a ramdisk with an overlay that has something in /lib."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("lib/modules/x"))
    (folder / "overlay").write_bytes(buffer.getvalue())
    overlay = overlays.Overlay(path=folder / "overlay", name="overlay")
    overlays.with_overlays(path, [overlay], folder / "made", soon())


def as_rootfs(path: Path, folder: Path) -> None:
    """As an overlay of a root file system in which a link leads outside."""
    (folder / "out").symlink_to("/")
    (folder / "etc").mkdir()
    tftp._unpack(path, folder, soon())


TARS: tuple[Read, ...] = (as_image, as_test, as_results, as_overlay, as_rootfs)


class Inputs:
    """Makes inputs from valid files."""

    def __init__(self, folder: Path) -> None:
        self._files: list[tuple[tuple[Read, ...], bytes]] = []
        for tar in (_tar(tarfile.GNU_FORMAT), _tar(tarfile.PAX_FORMAT), _tar(tarfile.USTAR_FORMAT)):
            packs = (bytes, gzip.compress, bz2.compress, lzma.compress)
            self._files += [(TARS, pack(tar)) for pack in packs]
        self._files += [(TARS, path.read_bytes()) for path in sorted(CORPUS.glob("*.tar*"))]
        ramdisk = _ramdisk(folder)
        for pack in (bytes, gzip.compress, lzma.compress):
            self._files.append(((as_ramdisk,), pack(ramdisk)))
        for image in _images(folder):
            self._files.append(((as_image, as_bootable), image))

    def make(self, chance: random.Random) -> tuple[Read, bytes]:
        """Return a reader and the content for it."""
        reads, content = chance.choice(self._files)
        if len(content) > 1 << 20:
            return chance.choice(reads), _image_changed(content, chance)
        return chance.choice(reads), mutate.mutated(content, chance)


def _tar(kind: int) -> bytes:
    """Members of all kinds, as tests, results and root file systems have them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:

        def add(name: str, content: bytes = b"", **fields: object) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(content))

        add("etc", type=tarfile.DIRTYPE, mode=0o755)
        add("etc/passwd", b"root::0:0\n" * 20)
        add("etc/link", type=tarfile.SYMTYPE, linkname="passwd")
        add("etc/hard", type=tarfile.LNKTYPE, linkname="etc/passwd")
        add("lavatest.yaml", b"metadata: {}\n")
        add("0_uuid-0-17/results/a/result", b"pass\n", mtime=17)
        add("0_uuid-0-17/hwcontext/meminfo.txt", b"MemTotal: 1024 kB\n")
        add("0_uuid-0-17/extra_metadata", b"a: 1\nb: 0x10\n")
        if kind != tarfile.USTAR_FORMAT:
            add("long/" * 30 + "name", b"x", uid=3_000_000)
        add("disk.img", bytes(600) + b"image")
    return buffer.getvalue()


def _ramdisk(folder: Path) -> bytes:
    root = folder / "ramdisk"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "init").write_text("#!/bin/sh\n")
    names = b"usr\nusr/lib\nlib\ninit\n"
    command = ["busybox", "cpio", "-o", "-H", "newc"]
    return subprocess.run(command, input=names, cwd=root, capture_output=True, check=True).stdout


def _images(folder: Path) -> list[bytes]:
    root = folder / "root"
    (root / "boot/extlinux").mkdir(parents=True)
    (root / "boot/vmlinuz").write_bytes(b"kernel" * 1000)
    (root / "boot/initrd").write_bytes(b"initrd" * 1000)
    (root / "boot/extlinux/extlinux.conf").write_text(EXTLINUX)
    images = [make(root, folder / make.__name__) for make in (ext_image, fat_image)]
    qcow2 = folder / "qcow2"
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(images[0]), str(qcow2)]
    subprocess.run(command, check=True)
    return [path.read_bytes() for path in (*images, qcow2)]


def _image_changed(content: bytes, chance: random.Random) -> bytes:
    """A disk image with changes where it is not empty, which is nearly nowhere."""
    changed = bytearray(content)
    used = [at for at in range(0, len(content), 512) if any(content[at : at + 512])]
    for _ in range(chance.randint(1, 8)):
        at = chance.choice(used) + chance.randrange(512)
        size = chance.choice((1, 2, 4, 8))
        changed[at : at + size] = chance.choice((chance.randbytes(size), b"\xff" * size))
    return bytes(changed)


def fuzz(count: int, seed: int) -> list[str]:
    """Read that many inputs."""
    faults = []
    with (
        tempfile.TemporaryDirectory() as name,
        patch.object(unpack, "MAX_UNPACKED", LARGEST),
        patch.object(overlays, "MAX_OVERLAYS", LARGEST),
    ):
        base = Path(name)
        inputs = Inputs(base)
        for number in range(count):
            chance = random.Random(f"{seed} {number}")  # noqa: S311 - to be repeated
            read, content = inputs.make(chance)
            if fault := _read(read, content, base):
                faults.append(f"input {number}, {read.__name__}: {fault}")
    return faults


def _read(read: Read, content: bytes, base: Path) -> str | None:
    """Return the fault in the reading of one input, or None."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        outer = Path(name)
        folder, path = outer / "folder", outer / "input"
        folder.mkdir()
        path.write_bytes(content)
        try:
            read(path, folder)
        except VMGroupError as error:
            if type(error) is VMGroupError:
                return f"an error without a class: {error.message}"
        except Exception:  # noqa: BLE001 - that is what is looked for
            return f"{traceback.format_exc()}\n{base64.b64encode(content[:3000]).decode()}"
        left = {entry.name for entry in outer.iterdir()} - {"folder", "input"}
        if left or path.read_bytes() != content:
            return f"it wrote outside of its folder: {left}"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run as told on the command line; 1 if anything was wrong."""
    return mutate.main(fuzz, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
