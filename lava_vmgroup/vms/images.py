# SPDX-License-Identifier: MIT
"""The examination of VM images on the dispatcher, before they go to the host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.once import Once
from lava_vmgroup.deploy.boot_config import extract_boot_files
from lava_vmgroup.deploy.root_device import Layout, layout_of
from lava_vmgroup.vms.stored_file import StoredFile, stored


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """A disk image, and the files that it boots."""

    disk: StoredFile
    kernel: StoredFile | None
    """None if no kernel was found in the image."""
    initrd: StoredFile | None
    append: str | None
    """The kernel's command line; None if the image does not contain it."""
    partition: int
    """The number of the partition with the system; 0 when the image has no partitions."""
    layout: Layout
    warnings: tuple[str, ...] = ()
    """Messages about unreadable partitions and skipped boot entries."""


class ImageLibrary:
    """The prepared images, shared by the threads of the VMs; each image is prepared once."""

    def __init__(self, folder: Path) -> None:
        """Keep the files that are copied out of images below `folder`."""
        self._folder = folder
        self._prepared: Once[tuple[Path, str | None], PreparedImage] = Once()

    def prepare(
        self, image: Path, deadline: Deadline, architecture: str | None = None
    ) -> PreparedImage:
        """Return the image with its digest and the kernel found in it.

        `architecture` is the VM's, or None if it is the host's.  Boot entries for another
        architecture are left out; with None, all count.  Blocks while another thread prepares the
        image.  Raises `JobError` if none of its boot entries can be booted.
        """
        return self._prepared.get(
            (image.resolve(), architecture),
            lambda: self._look_into(image, deadline, architecture),
            deadline,
        )

    def _look_into(
        self, image: Path, deadline: Deadline, architecture: str | None
    ) -> PreparedImage:
        disk = stored(image, deadline)
        folder = self._folder / disk.digest / (architecture or "any")
        folder.mkdir(parents=True, exist_ok=True)
        layout = layout_of(image, deadline)
        files = extract_boot_files(image, folder, deadline, layout, architecture)
        return PreparedImage(
            disk=disk,
            kernel=stored(files.kernel, deadline) if files else None,
            initrd=stored(files.initrd, deadline) if files and files.initrd else None,
            append=files.append if files else None,
            partition=files.partition if files else 0,
            layout=layout,
            warnings=files.warnings if files else _nothing_found(layout),
        )


def _nothing_found(layout: Layout) -> tuple[str, ...]:
    if not layout.unreadable:
        return ()
    return (f"no kernel was found; partition {layout.unreadable} cannot be read",)
