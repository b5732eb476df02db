# SPDX-License-Identifier: MIT
"""What the nodes of one group share while the job runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.config.device import DeviceConfig, QemuNetwork
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.inventory import load_vm_type
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.errors import MultiNodeError
from lava_vmgroup.job.model import Group
from lava_vmgroup.vms.host import VMHost
from lava_vmgroup.vms.images import ImageLibrary


class ClosedVMs:
    """Counts the VMs that have left the host, so that the host can be let go after them."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._changed = threading.Condition()

    def one_closed(self) -> None:
        """Say that a VM has left the host, or never came."""
        with self._changed:
            self._left -= 1
            self._changed.notify_all()

    def wait(self, deadline: Deadline) -> bool:
        """Whether all had left before the deadline; not ended by a cancel."""
        with self._changed:
            return self._changed.wait_for(lambda: self._left <= 0, deadline.remaining_s)


@dataclass(slots=True, kw_only=True)
class Shared:
    """One group's common ground; made by the runner and passed to every node."""

    group: Group
    device: DeviceConfig
    dispatcher: DispatcherConfig
    search_path: tuple[Path, ...]
    coordinator: Endpoint
    output: Path
    """Where results and logs go; each node has a folder in it."""
    work: Path
    """Scratch space, removed at the end."""
    key: JobKey
    files: JobFiles
    """What the job names, fetched."""
    images: ImageLibrary
    closed_vms: ClosedVMs
    grace_s: float = 30.0
    """How long each step of the clean-up may take; the runner shortens it when in a hurry."""
    _host: VMHost | None = field(default=None)

    @property
    def members(self) -> list[tuple[str, str]]:
        """Name and role of every node."""
        return [(node.target or self.device.hostname, node.role) for node in self.group.nodes]

    @property
    def wants_network(self) -> bool:
        """Whether any VM has a card in the group's network."""
        types = {node.device_type for node in self.group.nodes if not node.is_host}
        configs = (load_vm_type(name, self.search_path) for name in types)
        return any(QemuNetwork.GROUP in config.qemu_networks for config in configs)

    def offer_host(self, host: VMHost) -> None:
        """Make the booted host known to the VMs."""
        self._host = host

    @property
    def host(self) -> VMHost:
        """The booted host; only to be asked for after the message that VMs may start."""
        if self._host is None:
            raise MultiNodeError("the VMs were told to start before the host was reachable")
        return self._host

    @property
    def host_if_offered(self) -> VMHost | None:
        """The booted host, None as long as there is none."""
        return self._host

    def cleanup(self, name: str) -> Deadline:
        """A deadline for one step of the clean-up, which no cancel ends."""
        return Deadline.after(name, self.grace_s)
