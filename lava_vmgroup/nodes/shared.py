# SPDX-License-Identifier: MIT
"""The common ground of the nodes that one process runs of a group."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.once import Once
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.job.model import VMGroup
from lava_vmgroup.nodes.cleanup import Cleanup
from lava_vmgroup.nodes.shared_host import SharedHost
from lava_vmgroup.testdefs.loading import Checkouts
from lava_vmgroup.testdefs.tree import Tree, pack
from lava_vmgroup.vms.images import ImageLibrary
from lava_vmgroup.vms.stored_file import StoredFile, stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One process's common ground; made by the runner and passed to every node."""

    group: VMGroup
    lab: Lab
    coordinator: Endpoint
    output: Path
    """The folder for results and logs; each node has a folder in it."""
    work: Path
    """Scratch space, removed at the end."""
    files: JobFiles
    """The files that the job names."""
    images: ImageLibrary
    host: SharedHost
    cleanup: Cleanup
    timeout_scale: float = 1.0
    """Factor for all time limits that the job does not give itself."""
    console_copy: Callable[[bytes], None] | None = None
    """Takes the text of all consoles, beside each node's own record."""
    checkouts: Checkouts = field(default_factory=Once)
    """The repositories of tests that were fetched."""
    _packed: Once[Tree, StoredFile] = field(default_factory=Once)
    _told: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def runs_host(self) -> bool:
        """True if this process runs the group's host."""
        return any(node.is_host for node in self.group.nodes)

    def packed(self, tree: Tree, deadline: Deadline) -> StoredFile:
        """Return a tree of tests as a tar archive, made once for all nodes."""

        def pack_tree() -> StoredFile:
            with NamedTemporaryFile(
                dir=self.work, prefix="tests-", suffix=".tar", delete=False
            ) as file:
                pack(tree, file)
            return stored(Path(file.name), deadline)

        return self._packed.get(tree, pack_tree, deadline)

    def is_new(self, text: str) -> bool:
        """Return True the first time that this process asks for `text`, then False."""
        with self._lock:
            is_new = text not in self._told
            self._told.add(text)
            return is_new
