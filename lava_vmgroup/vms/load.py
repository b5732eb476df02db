# SPDX-License-Identifier: MIT
"""The files of a VM: on the dispatcher before its deployment, and on the host after it."""

from __future__ import annotations

from dataclasses import dataclass

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.config.commands import names_root
from lava_vmgroup.deploy.root_device import Layout
from lava_vmgroup.vms.reached import ReachedHost
from lava_vmgroup.vms.stored_file import StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The files for a VM's next boots, and what is known of them."""

    disk: StoredFile | None = None
    disk_size: int = 0
    """Bytes of the disk, all of which the guest may write."""
    kernel: StoredFile | None = None
    initrd: StoredFile | None = None
    dtb: StoredFile | None = None
    append: str = ""
    """The kernel's command line."""
    layout: Layout | None = None
    """The layout of the disk, if it is known."""
    root: int | None = None
    """The number of the partition with the system, if it is known."""
    firmware: StoredFile | None = None
    pflash: tuple[StoredFile, ...] = ()
    """The flash memories; the first holds the firmware."""

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files that go to the host."""
        given = (self.disk, self.kernel, self.initrd, self.dtb, self.firmware, *self.pflash)
        return tuple(file for file in given if file is not None)

    @property
    def needs_firmware(self) -> bool:
        """True if the host has to add the firmware that boots the disk."""
        return not (self.kernel or self.firmware or self.pflash)

    def deploy(self, at: ReachedHost, deadline: Deadline) -> Deployed:
        """Put the files into the host's image store."""
        return Deployed(
            disk=at.store_given(self.disk, deadline),
            disk_size=self.disk_size,
            kernel=at.store_given(self.kernel, deadline),
            initrd=at.store_given(self.initrd, deadline),
            initrd_size=self.initrd.path.stat().st_size if self.initrd else 0,
            dtb=at.store_given(self.dtb, deadline),
            append=self.append,
            layout=self.layout,
            root=self.root,
            firmware=at.store_given(self.firmware, deadline),
            pflash=at.store_all(self.pflash, deadline),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The files for a VM's next boots, as paths on the host; see `Load`."""

    disk: str | None = None
    disk_size: int = 0
    kernel: str | None = None
    initrd: str | None = None
    initrd_size: int = 0
    dtb: str | None = None
    append: str = ""
    layout: Layout | None = None
    root: int | None = None
    firmware: str | None = None
    pflash: tuple[str, ...] = ()

    @property
    def is_ramdisk(self) -> bool:
        """True if the ramdisk is the whole system."""
        return self.initrd is not None and self.disk is None and not names_root(self.append)
