# SPDX-License-Identifier: MIT
"""The common ground of the nodes that one process runs of a group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import VMGroupError
from lava_vmgroup.base.once import Once
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.connections.ssh_keys import Identity, JobKey
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.job.model import Group
from lava_vmgroup.results.model import Upload
from lava_vmgroup.testdefs.loading import Checkouts
from lava_vmgroup.testdefs.tree import Tree, pack
from lava_vmgroup.vms.host import VMHost
from lava_vmgroup.vms.images import ImageLibrary
from lava_vmgroup.vms.introduction import Offer
from lava_vmgroup.vms.stored_file import StoredFile, stored


@dataclass(slots=True, kw_only=True)
class Shared:
    """One process's common ground; made by the runner and passed to every node."""

    group: Group
    lab: Lab
    coordinator: Endpoint
    output: Path
    """The folder for results and logs; each node has a folder in it."""
    work: Path
    """Scratch space, removed at the end."""
    key: JobKey
    """The key with which this process logs in to the host, unless the lab has one for it."""
    files: JobFiles
    """The files that the job names."""
    images: ImageLibrary
    questions: Sequence[str] = ()
    """The questions to the host beside the usual ones; see `lava_vmgroup.vms.facts`."""
    lab_key: Identity | None = None
    """The key by which the host, when it is run here, is reached; its VMs here use it too."""
    console_copy: Callable[[bytes], None] | None = None
    """Takes the text of all consoles, beside each node's own record."""
    grace_s: float = 30.0
    """Seconds for a step of the clean-up on usual hardware."""
    timeout_scale: float = 1.0
    """Factor for all time limits that the job does not give itself; the runner sets it."""
    host_loss: VMGroupError | None = None
    """The reason why the host is lost; its supervisor then removes the job from it."""
    checkouts: Checkouts = field(default_factory=Once)
    """The repositories of tests that were fetched."""
    _packed: Once[Tree, StoredFile] = field(default_factory=Once)
    _told: set[str] = field(default_factory=set)
    _cleaning: CancelToken = field(default_factory=CancelToken)
    _host: VMHost | None = field(default=None)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def runs_host(self) -> bool:
        """True if this process runs the group's host."""
        return any(node.is_host for node in self.group.nodes)

    def host_at(self, offer: Offer) -> VMHost:
        """Return the host that made an offer, one object for all VMs of this process."""
        with self._lock:
            if self._host is None or self._host.offer != offer:
                key = self.lab_key or self.key
                self._host = VMHost(offer, key, self.group.target_group, self.questions)
            return self._host

    def packed(self, tree: Tree, deadline: Deadline) -> StoredFile:
        """Return a tree of tests as a tar archive, made once for all nodes."""

        def pack_tree() -> StoredFile:
            with NamedTemporaryFile(
                dir=self.work, prefix="tests-", suffix=".tar", delete=False
            ) as file:
                pack(tree, file)
            return stored(Path(file.name), deadline)

        return self._packed.get(tree, pack_tree, deadline)

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """The files that were put into the host's image store."""
        return self._host.store.uploads() if self._host is not None else ()

    def is_new(self, text: str) -> bool:
        """Return True the first time that this process asks for `text`, then False."""
        with self._lock:
            is_new = text not in self._told
            self._told.add(text)
            return is_new

    def cleanup(self, name: str) -> Deadline:
        """Return a deadline for one step of the clean-up, which no cancel of the job ends."""
        return Deadline.after(name, self.cleanup_s, self._cleaning, self.timeout_scale)

    def hurry(self, grace_s: float) -> CancelToken:
        """Give steps of the clean-up less time; the token ends those that have begun."""
        self.grace_s = grace_s
        begun, self._cleaning = self._cleaning, CancelToken()
        return begun

    @property
    def cleanup_s(self) -> float:
        """Seconds for one step of the clean-up."""
        return self.grace_s * self.timeout_scale
