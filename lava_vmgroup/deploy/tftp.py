# SPDX-License-Identifier: MIT
"""Putting kernel, ramdisk and device tree where the board's bootloader fetches them by TFTP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from lava_vmgroup.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFiles:
    """The parts of a ``deploy_linaro_kernel``, as files on the dispatcher."""

    kernel: Path
    ramdisk: Path | None = None
    dtb: Path | None = None
    rootfs: Path | None = None
    """A disk image with the root file system; virtual machines only."""


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
        for field in fields(files):
            source: Path | None = getattr(files, field.name)
            if source is not None and field.name != "rootfs":
                shutil.copyfile(source, folder / field.name)
                tags[field.name.upper()] = f"{job}/{field.name}"
        yield tags
    finally:
        shutil.rmtree(folder, ignore_errors=True)
