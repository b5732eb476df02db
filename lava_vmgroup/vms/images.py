# SPDX-License-Identifier: MIT
"""What the dispatcher learns of VM images before they go to the host: once per image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.once import Once
from lava_vmgroup.deploy.boot_config import extract_boot_files
from lava_vmgroup.deploy.root_device import Layout, layout_of
from lava_vmgroup.vms.store import digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file on the dispatcher together with the name that its content has in the store."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """A disk image and what it boots."""

    disk: StoredFile
    kernel: StoredFile | None
    initrd: StoredFile | None
    append: str | None
    partition: int
    """The number of the partition with the system; 0 when the image has no partitions."""
    layout: Layout
    warnings: tuple[str, ...] = ()
    """About what could not be read, and entries that were passed over."""


class ImageLibrary:
    """Prepares each image once, however many VMs use it; shared by their threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prepared: Once[tuple[Path, str | None], PreparedImage] = Once()

    def prepare(
        self, image: Path, deadline: Deadline, architecture: str | None = None
    ) -> PreparedImage:
        """The image with its digest and the kernel found in it.

        `architecture` is the VM's, None where it is the host's: then any entry may be the default.
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


def stored(path: Path, deadline: Deadline) -> StoredFile:
    """The file with the digest of its content."""
    return StoredFile(path=path, digest=digest_of(path, deadline))
