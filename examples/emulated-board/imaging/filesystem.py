# SPDX-License-Identifier: MIT
"""Root trees, initramfs archives and disk images, without root rights."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError, run

PARTITION_OFFSET = 1024 * 1024
_BLOCK = 1024 * 1024
_DEVICES = "usr/lib/dev"
_APPLET = re.compile(rb"[a-z0-9_.\[+-]+")


def overlay(source: Path, target: Path) -> None:
    """Copies a tree of recipe files; only the executable bit of their modes counts."""
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def make_mount_points(root: Path) -> None:
    """The empty folders every system expects, and what start-up copies to /dev."""
    for name in ("dev", "mnt", "proc", "root", "run", "sys", "tmp", "var/tmp", "var/log"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "root").chmod(0o700)
    for name in ("net", "pts", "shm"):
        (root / _DEVICES / name).mkdir(parents=True)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1")):
        (root / _DEVICES / name).symlink_to(target)
    (root / _DEVICES / "stderr").symlink_to("fd/2")
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)


def busybox_applets(binary: Path) -> list[str]:
    """The applet names inside a busybox of any architecture: a sorted, NUL-separated table."""
    data = binary.read_bytes()
    start = data.find(b"\0[\0[[\0")
    applets: list[str] = []
    for name in data[start + 1 : start + 8192].split(b"\0"):
        if not _APPLET.fullmatch(name) or (applets and name.decode() <= applets[-1]):
            break
        applets.append(name.decode())
    if start < 0 or not {"sh", "init", "mount", "modprobe"} <= set(applets):
        raise BuildError(f"no applet table found in {binary}")
    return applets


def link_applets(root: Path) -> None:
    """Makes every busybox applet a command, unless a package brings a better one."""
    # The Debian package puts the program in /bin, which is /usr/bin here.
    for applet in busybox_applets(root / "usr/bin/busybox"):
        if not any(os.path.lexists(root / "usr" / folder / applet) for folder in ("bin", "sbin")):
            # Scripts and inittab of every origin name administration tools by either folder.
            (root / "usr/bin" / applet).symlink_to("busybox")
            (root / "usr/sbin" / applet).symlink_to("../bin/busybox")


def write_initramfs(target: Path, root: Path) -> None:
    """Packs a tree as a compressed cpio archive (format newc), all owned by root."""
    with gzip.GzipFile(target, "wb", compresslevel=9, mtime=0) as stream:
        paths = [path.relative_to(root) for path in sorted(root.rglob("*"))]
        for inode, path in enumerate(paths, 1):
            stream.write(_cpio_entry(inode, str(path), root / path))
        stream.write(_cpio_record(0, "TRAILER!!!", 0, b""))


def _cpio_entry(inode: int, name: str, path: Path) -> bytes:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return _cpio_record(inode, name, mode, str(path.readlink()).encode())
    return _cpio_record(inode, name, mode, path.read_bytes() if stat.S_ISREG(mode) else b"")


def _cpio_record(inode: int, name: str, mode: int, data: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    # inode, mode, uid, gid, links, time, size, device 2x, special device 2x, name size, checksum
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    head = header + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Measures of a disk image with a single Linux partition."""

    label: str
    free: int
    """Bytes left over for the user of the image."""
    inodes: int


def write_disk(target: Path, root: Path, disk: Disk) -> None:
    """Makes a sparse disk image of a tree: one bootable ext4 partition at 1 MiB."""
    used = sum(-(-path.lstat().st_size // 4096) * 4096 + 64 for path in root.rglob("*"))
    # The journal, the inode tables and the other metadata of ext4.
    metadata = 8 * _BLOCK + disk.inodes * 256 + used // 50
    size = -(-(used + metadata + disk.free) // _BLOCK) * _BLOCK
    with target.open("wb") as image:
        image.truncate(PARTITION_OFFSET + size)
    run(["sfdisk", "--quiet", target], stdin="label: dos\nstart=1MiB, type=83, bootable\n")
    # U-Boot 2023.01 cannot read file systems with the two features switched off.
    command = ["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum,^64bit", "-b", "4096"]
    command += ["-m", "0", "-N", str(disk.inodes), "-J", "size=4", "-L", disk.label]
    command += ["-E", f"offset={PARTITION_OFFSET},root_owner=0:0", "-d", str(root)]
    run([*command, target, f"{size // 1024}k"])
    _give_to_root(target, (path.relative_to(root) for path in root.rglob("*")))


def _give_to_root(image: Path, paths: Iterable[Path]) -> None:
    """mke2fs copies the builder's user and group ids; nobody has those in the image."""
    commands = "".join(f'sif "/{path}" {kind} 0\n' for path in paths for kind in ("uid", "gid"))
    run(["debugfs", "-w", "-f", "-", f"{image}?offset={PARTITION_OFFSET}"], stdin=commands)
