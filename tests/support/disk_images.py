# SPDX-License-Identifier: MIT
"""Disk images, made without root."""

import subprocess
from pathlib import Path

MIB = 1 << 20

FAT_AT, EXT_AT = MIB, 10 * MIB
"""Offsets of the partitions of `two_partitions`, in bytes."""


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


def two_partitions(folder: Path) -> Path:
    """FAT on partition 1, ext4 on partition 2 with what a root file system has."""
    boot, root = folder / "boot", folder / "root"
    (root / "etc").mkdir(parents=True)
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/motd").write_text("welcome\n")
    (root / "etc/resolv.conf").symlink_to("../run/resolv.conf")
    (root / "etc/secret").write_text("old secret")
    (root / "etc/secret").chmod(0o600)
    boot.mkdir()
    (boot / "uEnv.txt").write_text("old\n")
    fat = fat_image(boot, folder / "fat.img").read_bytes()
    image = ext_image(root, folder / "disk.img", offset=EXT_AT)
    with image.open("r+b") as file:
        file.write(fat)
        file.truncate(EXT_AT + 20 * MIB)
    table = f"start={FAT_AT // 512},size={8 * MIB // 512},type=c\nstart={EXT_AT // 512}\n"
    subprocess.run(["/usr/sbin/sfdisk", "-q", image], input=table.encode(), check=True)
    return image
