# SPDX-License-Identifier: MIT
"""Disk images with one partition, made without root."""

import subprocess
from pathlib import Path

MIB = 1 << 20


def ext_image(root: Path, image: Path, *, offset: int = MIB) -> Path:
    """An ext4 image with the content of a folder, on a partition unless `offset` is 0."""
    with image.open("wb") as file:
        file.truncate(offset + 8 * MIB)
    if offset:
        subprocess.run(["/usr/sbin/sfdisk", "-q", image], input=b"2048,\n", check=True)
    command = ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(root), "-E", f"offset={offset}"]
    subprocess.run([*command, str(image), "8M"], check=True, stderr=subprocess.DEVNULL)
    return image


def fat_image(root: Path, image: Path) -> Path:
    """A FAT image with the content of a folder, on a partition."""
    with image.open("wb") as file:
        file.truncate(MIB + 8 * MIB)
    subprocess.run(["/usr/sbin/sfdisk", "-q", image], input=b"2048,,c\n", check=True)
    target = f"{image}@@{MIB}"
    subprocess.run(["mformat", "-i", target, "-T", str(8 * MIB // 512), "::"], check=True)
    for path in sorted(root.iterdir()):
        subprocess.run(["mcopy", "-s", "-i", target, path, "::"], check=True)
    return image
