# SPDX-License-Identifier: MIT
"""Putting kernel, ramdisk and device tree where the board's bootloader fetches them by TFTP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFiles:
    """The parts of a ``deploy_linaro_kernel``, as files on the dispatcher."""

    kernel: Path | None = None
    """Only a virtual machine does without: its firmware boots."""
    ramdisk: Path | None = None
    dtb: Path | None = None
    rootfs: Path | None = None
    """A disk image with the root file system; virtual machines only."""
    nfsrootfs: Path | None = None
    """An archive of the root file system, which the host mounts from the dispatcher."""
    nfs_overlays: tuple[Path, ...] = ()
    """Archives to unpack over it."""
    firmware: Path | None = None
    pflash: tuple[Path, ...] = ()
    """Contents of a virtual machine's flash memories."""
    bootloader: Path | None = None
    """A board's boot loader; with the others below, the firmware of a Versatile Express."""
    bl0: Path | None = None
    bl1: Path | None = None
    bl2: Path | None = None
    bl31: Path | None = None


OFFERED = ("kernel", "ramdisk", "dtb", "bootloader")
"""The files that a boot loader may fetch."""


@contextmanager
def offered(files: KernelFiles, root: Path, job: str) -> Iterator[Mapping[str, str]]:
    """Offer `files` below the TFTP server's folder `root` while the block runs.

    Gives the tags for boot commands (``KERNEL``, ``RAMDISK``, ``DTB``): paths relative to `root`.
    """
    folder = root / job
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the TFTP folder {folder}: {error.strerror}",
            hint="check LAVA_IMAGE_TMPDIR in lava-dispatcher.conf",
        ) from error
    try:
        tags = {}
        for name in OFFERED:
            source: Path | None = getattr(files, name)
            if source is not None:
                shutil.copyfile(source, folder / name)
                tags[name.upper()] = f"{job}/{name}"
        yield tags
    finally:
        shutil.rmtree(folder, ignore_errors=True)
