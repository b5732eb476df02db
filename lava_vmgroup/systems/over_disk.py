# SPDX-License-Identifier: MIT
"""A booted VM: files go by its overlay disk, and records come by a port of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.systems.system import System
from lava_vmgroup.vms.folder import VMFolder
from lava_vmgroup.vms.overlay_disk import OverlayDisk, StoredTar
from lava_vmgroup.vms.stored_file import StoredFile

Store = Callable[[StoredFile, Deadline], str]
"""Puts a file into the host's image store; returns its path there."""


class OverDisk(System):
    """A booted VM with its overlay disk."""

    def __init__(self, shell: Shell, folder: VMFolder, disk: OverlayDisk, store: Store) -> None:
        super().__init__(shell)
        self._folder = folder
        self._disk = disk
        self._store = store
        self._records_read = 0

    def unpack(
        self, archive: bytes, directory: str, trees: Sequence[StoredFile], deadline: Deadline
    ) -> None:
        """See `System.unpack`.  A guest that does not see the disk gets the files typed."""
        if not self._disk.is_found(deadline):
            self._disk.type(archive, directory, [tree.path for tree in trees], deadline)
            return
        stored = [
            StoredTar(self._store(tree, deadline), tree.path.stat().st_size) for tree in trees
        ]
        self._disk.unpack(archive, directory, stored, deadline)

    def collect(self, directory: str, deadline: Deadline) -> bytes:
        """See `System.collect`."""
        return self._disk.collect(directory, deadline)

    @contextmanager
    def records(self, deadline: Deadline) -> Iterator[ByteStream]:
        """See `System.records`: the text that the guest writes to its port."""
        stream = self._folder.records(self._records_read, deadline)
        try:
            yield stream
        finally:
            stream.close()
            self._records_read = stream.position
