# SPDX-License-Identifier: MIT
"""A host that a VM has reached, with the VM's own connection to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.link import Link
from lava_vmgroup.vms.facts import HostFacts
from lava_vmgroup.vms.heartbeat import Heartbeat
from lava_vmgroup.vms.stored_file import StoredFile
from lava_vmgroup.vms.vm_host import VMHost


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedHost:
    """The host of a VM, the VM's link to it, and the log for all that is done there."""

    host: VMHost
    link: Link
    log: NodeLog
    heartbeat: Heartbeat | None = None
    """The VM's own, if its host is run by another process."""

    def facts(self, deadline: Deadline) -> HostFacts:
        """Return the host's facts, which are asked for once; see `VMHost.facts`."""
        return self.host.facts(self.link, deadline)

    def store(self, file: StoredFile, deadline: Deadline) -> str:
        """Put a file into the host's image store; return its path there."""
        return self.host.store.put(file, self.link, self.log, deadline)

    def store_given(self, file: StoredFile | None, deadline: Deadline) -> str | None:
        """Put a file, if there is one, into the host's image store; return its path there."""
        return None if file is None else self.store(file, deadline)

    def store_all(self, files: Iterable[StoredFile], deadline: Deadline) -> tuple[str, ...]:
        """Put files into the host's image store; return their paths there."""
        return tuple(self.store(file, deadline) for file in files)

    def close(self, *, leaving: bool) -> None:
        """End the heartbeat and the link; `leaving` says that the VM's folder is gone."""
        if self.heartbeat is not None:
            self.heartbeat.stop(leaving=leaving)
        self.link.close()
