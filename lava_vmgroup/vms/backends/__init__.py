# SPDX-License-Identifier: MIT
"""The machines that are VMs: a module per kind, named by ``client_type`` of the VM's device type.

A backend's module has a class ``Driver``, which is a `Backend`.  A VM goes through these steps:

1. `prepare_image` or `prepare_kernel` reads the files of a deployment, before the host is reached.
2. `fit` refuses a host that cannot carry the VM; nothing has been sent there.
3. `Load.deploy` puts the files into the host's image store.
4. `choose` settles what the next boot starts.
5. `launch` starts it in a folder of its own, and returns its console.
6. The VM ends with its folder, see `VMFolder.remove`; for things that are neither processes nor
   files of the folder, `launch` has called `VMFolder.will_undo`.
"""

from __future__ import annotations

import abc
import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError
from lava_vmgroup.base.findings import Finding
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.config.settings import BootSettings, DeploySettings
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.vms.folder import VMFolder
from lava_vmgroup.vms.images import ImageLibrary
from lava_vmgroup.vms.load import Deployed, Load
from lava_vmgroup.vms.network import Port
from lava_vmgroup.vms.reached import ReachedHost
from lava_vmgroup.vms.vm_host import VMHost


@dataclass(frozen=True, slots=True, kw_only=True)
class VMSetup:
    """The parts from which every backend is made."""

    job: NodeJob
    name: str
    nodes: Sequence[NodeJob]
    """The nodes of this process, which share the host's memory."""
    lab: Lab
    images: ImageLibrary
    work: Path
    """Scratch space, removed at the end of the job."""
    log: NodeLog
    attributes: dict[str, str]
    """Takes facts about the VM for its results."""


class Backend(abc.ABC):
    """One VM of a kind, from its files to its console; used by its node's thread only."""

    restarts = True
    """False if the VM ends when its guest restarts."""

    def __init__(self, setup: VMSetup) -> None:
        self.setup = setup
        self.job = setup.job
        self.log = setup.log
        self._lab_config = setup.lab.type_of(setup.job.device_type)
        self.settings = DeploySettings()
        """The job's words about the system that is deployed next."""

    @property
    def config(self) -> DeviceConfig:
        """The VM's configuration, with the job's settings for the deployed system."""
        return self.settings.over(self._lab_config)

    @property
    @abc.abstractmethod
    def wants_network(self) -> bool:
        """True if the VM has a card on the group's network."""

    @property
    @abc.abstractmethod
    def memory_mib(self) -> int | None:
        """The guest's memory; None if the VM may have disks that are not known here."""

    def port(self, host: VMHost) -> Port | None:
        """Return the VM's place on the group's network, if it has one."""
        network = host.offer.network
        if network is None or not self.wants_network:
            return None
        return network.port(self.job.number)

    @abc.abstractmethod
    def prepare_image(self, image: Path, pflash: Sequence[Path], deadline: Deadline) -> Load:
        """Read a disk image, and find the kernel that it boots.

        Raises `JobError` for files that do not fit the VM.
        """

    @abc.abstractmethod
    def prepare_kernel(self, files: KernelFiles, deadline: Deadline) -> Load:
        """Read kernel, ramdisk, device tree, root file system and firmware.

        Raises `JobError` for files that do not fit the VM.
        """

    @abc.abstractmethod
    def fit(self, load: Load, at: ReachedHost, deadline: Deadline) -> None:
        """Refuse a host that cannot carry the VM, before anything is sent there.

        Raises `Unfit`, `NodeSkipped` if the job goes on without the VM, and `JobError` for a file
        that does not fit the host.
        """

    @abc.abstractmethod
    def choose(self, deployed: Deployed, settings: BootSettings) -> Deployed:
        """Return the system that the next boot starts, with the job's settings for this boot."""

    @abc.abstractmethod
    def launch(
        self, folder: VMFolder, deployed: Deployed, at: ReachedHost, deadline: Deadline
    ) -> ByteStream:
        """Make the VM's folder, start the VM there, and return its console.

        Raises `InfrastructureError`, or `JobError` for a ``launch_with`` that fails.
        """

    @staticmethod
    @abc.abstractmethod
    def examine(
        job: NodeJob, vms: Sequence[NodeJob], lab: Lab, at: ReachedHost, deadline: Deadline
    ) -> list[Finding]:
        """Return what a host has for a VM, and what it lacks; starts nothing that stays.

        `vms` are all VMs that the host is to carry, `job` included.
        """

    @abc.abstractmethod
    def explained(
        self, error: InfrastructureError, folder: VMFolder, deadline: Deadline
    ) -> InfrastructureError:
        """Return the error of a console that ended early, with what the VM's program said."""


def check(config: DeviceConfig) -> None:
    """Raise `ConfigurationError` if a VM's device type names no kind of VM."""
    # A kind's other modules have its name and more in theirs.
    kinds = sorted(one.name for one in pkgutil.iter_modules(__path__) if "_" not in one.name)
    if config.client_type not in kinds:
        raise ConfigurationError(
            f"{config.place('client_type')}: there is no kind of VM {config.client_type!r}",
            hint=f"known: {', '.join(kinds)}",
        )


def driver_class(config: DeviceConfig) -> type[Backend]:
    """Return the class of the backend that a VM's device type names; raises as `check`."""
    check(config)
    module: Any = importlib.import_module(f"{__name__}.{config.client_type}")
    driver: type[Backend] = module.Driver
    return driver


def load(setup: VMSetup) -> Backend:
    """Return a new backend of the class that the VM's device type names."""
    return driver_class(setup.lab.type_of(setup.job.device_type))(setup)
