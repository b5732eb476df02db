# SPDX-License-Identifier: MIT
"""The root device of a VM: the partition that has an init, and the kernel's argument for it.

An image's own command line is often for another machine, whose disk has another name.  A VM has one
disk, ``/dev/vda``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.deploy.filesystems import (
    FileSystem,
    Partition,
    file_system,
    partition_table,
    probe,
)

_INITS = (
    "/sbin/init",
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
    "/init",
    "/etc/init",
    "/bin/init",
    "/nix/store",
)
"""The programs that a kernel starts by default, systemd, and the mark of NixOS."""

_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_DISK = re.compile(
    r"/dev/(?:vda(?P<number>\d*)"
    r"|(?:sd[a-z]+|hd[a-z]|xvd[a-z]|vd[b-z])(?P<other>\d*)"
    r"|(?:mmcblk\d+|nvme\d+n\d+|nbd\d+|loop\d+)(?:p(?P<part>\d+))?"
    r"|(?:mtdblock|ubi|ubiblock|sr|cdrom)[\d_]*)"
)
_FOR_FLASH = re.compile(r"(?:mtd|ubi)\d*(?::.*|_.*|$)")
_EMPTY_ROOT = re.compile(r"root=(?:\w+=)?")
"""An argument whose value a boot loader computes, such as ``root=UUID=$rootuuid``."""
_TAG = re.compile(
    r"(?:/dev/disk/by-)?(?P<kind>uuid|label|partuuid|partlabel)[=/](?P<value>[^/]+)", re.IGNORECASE
)
_BY_KERNEL = ("PARTUUID=", "PARTLABEL=")
_NO_SYSTEMS = frozenset({"swap", "vfat"})
_CONTAINERS = frozenset({"LVM2_member", "crypto_LUKS", "linux_raid_member", "zfs_member"})
"""Types of volumes that contain other volumes, which a ramdisk finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A partition with its content."""

    partition: Partition
    type: str = ""
    """The name of its file system or other content from blkid; empty if there is none."""
    uuid: str = ""
    label: str = ""
    files: FileSystem | None = None
    """None if the file system cannot be read here."""
    has_init: bool = False

    @property
    def number(self) -> int:
        """The partition's number; 0 for a disk without partitions."""
        return self.partition.number

    @property
    def device(self) -> str:
        """The volume's name in a VM."""
        return f"/dev/vda{self.number or ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The volumes of a disk image."""

    volumes: tuple[Volume, ...] = ()

    def find(self, number: int) -> Volume | None:
        """Return the volume with a number; None if there is none."""
        return next((volume for volume in self.volumes if volume.number == number), None)

    def named(self, kind: str, value: str) -> Volume | None:
        """Return the volume with a ``UUID``, ``LABEL``, ``PARTUUID`` or ``PARTLABEL``."""
        for volume in self.volumes:
            there = {
                "UUID": volume.uuid,
                "LABEL": volume.label,
                "PARTUUID": volume.partition.uuid,
                "PARTLABEL": volume.partition.label,
            }[kind]
            if there and there.lower() == value.lower():
                return volume
        return None

    def root(self, kernel_on: int | None = None) -> Volume | None:
        """Return the volume with the system; None if it is unknown.

        `kernel_on` is the number of the partition with the kernel, which is preferred.
        """
        with_init = [volume for volume in self.volumes if volume.has_init]
        closed = [volume for volume in self._closed if volume.type not in _CONTAINERS]
        beside = [volume for volume in self.volumes if volume.number == kernel_on]
        preferred = [volume for volume in with_init if volume in beside]
        if len(closed) > 1:
            closed = []  # any of them may have the system
        only = self.volumes if len(self.volumes) == 1 else ()
        return next(iter([*preferred, *with_init, *closed, *beside, *only]), None)

    @property
    def unreadable(self) -> str:
        """The partitions that may hold a system but cannot be read, for messages."""
        return ", ".join(f"{volume.number} ({volume.type})" for volume in self._closed)

    @property
    def has_init(self) -> bool:
        """True if a volume is known to hold a system."""
        return any(volume.has_init for volume in self.volumes)

    @property
    def has_containers(self) -> bool:
        """True if there may be volumes inside of volumes."""
        return any(volume.type in _CONTAINERS for volume in self.volumes)

    @property
    def _closed(self) -> list[Volume]:
        """The volumes that cannot be read here and may hold a system."""
        return [
            volume
            for volume in self.volumes
            if volume.files is None and volume.type and volume.type not in _NO_SYSTEMS
        ]


def layout_of(image: Path, deadline: Deadline) -> Layout:
    """Return the volumes of a disk image, one for each partition."""
    volumes = []
    for partition in partition_table(image, deadline):
        facts = probe(image, partition, deadline)
        files = file_system(image, partition.offset, deadline)
        volumes.append(
            Volume(
                partition=partition,
                type=facts.get("TYPE", ""),
                uuid=facts.get("UUID", ""),
                label=facts.get("LABEL", ""),
                files=files,
                has_init=files is not None and any(map(files.exists, _INITS)),
            )
        )
    return Layout(volumes=tuple(volumes))


def fitted(
    arguments: str, layout: Layout, root: Volume | None, *, has_ramdisk: bool
) -> tuple[str, str | None]:
    """Return a kernel's command line with a root device that the VM has, and a warning or None.

    `root` is the volume to use if the command line names a device that the VM does not have.
    """
    words, for_init = _parts(arguments)
    words = [word for word in words if not _EMPTY_ROOT.fullmatch(word)]
    given = [word.removeprefix("root=") for word in words if word.startswith("root=")]
    if not given:
        added = [] if has_ramdisk or root is None else [f"root={root.device}"]
        return " ".join([*words, *added, *for_init]), None
    wanted = given[-1].strip('"')
    if root is not None and wanted == root.device:
        return arguments, None
    picks_init = any(word.startswith("init=") for word in words)
    found = _volume_of(wanted, layout, picks_init=picks_init)
    right, warning = wanted, None
    if found is not None and not _finds_it(wanted, has_ramdisk=has_ramdisk):
        right, warning = found.device, f"root={wanted} is {found.device} on the VM"
    elif found is None and _is_missing(wanted, layout, has_ramdisk=has_ramdisk):
        right, warning = _instead(wanted, layout, root)
    changed = [f"root={right}" if word.startswith("root=") else word for word in words]
    return " ".join([*changed, *for_init]), warning


def last_console(arguments: str, console: str) -> str:
    """Return a command line whose last console, which becomes ``/dev/console``, is `console`."""
    words, for_init = _parts(arguments)
    ours = [word for word in words if word.split(",")[0] == f"console={console}"]
    consoles = [word for word in words if word.startswith("console=")]
    if ours and consoles[-1] == ours[-1]:
        return arguments
    others = [word for word in words if word not in ours]
    return " ".join([*others, *(ours[-1:] or [f"console={console}"]), *for_init])


def _parts(arguments: str) -> tuple[list[str], list[str]]:
    """Return the words for the kernel, and those from ``--`` on, which go to the init."""
    words = _WORD.findall(arguments)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end:]


def _volume_of(wanted: str, layout: Layout, *, picks_init: bool) -> Volume | None:
    """Return the volume that a root argument means in a VM; None for none."""
    if (tag := _TAG.match(wanted)) is not None:
        return layout.named(tag["kind"].upper(), tag["value"])
    disk = _DISK.fullmatch(wanted)
    if disk is None:
        return None
    number = next((one for one in disk.groups() if one is not None), "")
    volume = layout.find(int(number or 0))
    if volume is None or volume.has_init or not layout.has_init:
        return volume
    # The command line may be for another machine, where the number means another partition.
    is_ours = disk["number"] is not None and (picks_init or volume.files is None)
    return volume if is_ours else None


def _finds_it(wanted: str, *, has_ramdisk: bool) -> bool:
    """Return whether a VM finds the root device by this name."""
    if _TAG.match(wanted) is not None:
        return has_ramdisk or wanted.upper().startswith(_BY_KERNEL)
    return wanted.startswith("/dev/vda")


def _is_missing(wanted: str, layout: Layout, *, has_ramdisk: bool) -> bool:
    """Return whether a root argument that fits no volume names a disk.

    Other arguments name a ramdisk, a network, or a mapping that a ramdisk makes.
    """
    if (tag := _TAG.match(wanted)) is not None:
        inside = layout.has_containers and tag["kind"].upper() in ("UUID", "LABEL")
        return not (has_ramdisk and inside)
    return any(pattern.match(wanted) for pattern in (_DISK, _FOR_FLASH))


def _instead(wanted: str, layout: Layout, root: Volume | None) -> tuple[str, str]:
    if root is None:
        closed = f": partition {layout.unreadable} cannot be read" if layout.unreadable else ""
        return wanted, f"the VM has no {wanted}, and its root is not known{closed}"
    return root.device, f"the VM has no {wanted}; it gets root={root.device}"
