# SPDX-License-Identifier: MIT
"""Board drivers: one module per ``client_type``, found by its name.

A driver module has a class ``Driver`` that fulfils `Board`.  If it cannot serve every device, it
also has a function ``check`` that raises a `ConfigurationError` for the others.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.watch import Watch
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.tftp import KernelFiles

if TYPE_CHECKING:
    from lava_vmgroup.connections.ssh_access import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSetup:
    """The arguments of every board driver."""

    config: DeviceConfig
    dispatcher: DispatcherConfig
    recorder: Recorder
    log: NodeLog
    files: JobFiles
    """The fetcher of the files that the lab's configuration names."""
    job: str
    """The group's unique name; it marks the job's files in shared folders and its keys."""
    watch: Watch | None = None
    """The watch for faults on the board's console."""


class Board(Protocol):
    """A physical machine: power, console, and the way to its shell."""

    deploys: bool
    """True if a job can deploy to it; False for a host that is up already and stays as it is."""
    is_shared: bool
    """True if several jobs may use it at once."""

    def configure(self, config: DeviceConfig) -> None:
        """Use `config` from now on: the device's configuration with the job's settings over it."""
        ...

    def deploy_image(self, image: Path, deadline: Deadline) -> None:
        """Put a disk image on the board, to be booted by the next `boot`."""
        ...

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """Offer kernel, ramdisk and device tree, to be booted by the next `boot`."""
        ...

    def boot(self, deadline: Deadline) -> Shell:
        """Power-cycle the board and return its root shell; try again as often as configured."""
        ...

    @property
    def access(self) -> Access | None:
        """The lab's own access to the booted system by SSH; None to set one up on the console."""
        ...

    def power_off(self, deadline: Deadline) -> None:
        """Switch the board off."""
        ...

    def close(self) -> None:
        """Close the console and remove the offered files; may be called again."""
        ...


def nothing_deployed(config: DeviceConfig) -> JobError:
    """Return the error about a deploy action for a host that is up already."""
    return JobError(
        f"the host {config.hostname} is up already, nothing can be deployed to it",
        hint="remove the deploy action of the host's role",
    )


def load(setup: BoardSetup) -> Board:
    """Return a new driver of the class that the device's ``client_type`` names."""
    driver: Board = driver_class(setup.config)(setup)
    return driver


def driver_class(config: DeviceConfig) -> Any:
    """Return the class of the driver that a device needs.

    Raises `ConfigurationError` if there is none, or if it cannot serve the device.
    """
    name, key = config.driver, "client_type"
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if config.client_type == "dummy":
        key, known = "dummy_driver", ["ssh"]
    if name not in known:
        raise ConfigurationError(
            f"device {config.hostname}: no driver for {key} {name!r}",
            hint=f"known: {', '.join(known)}",
        )
    module: Any = importlib.import_module(f"{__name__}.{name}")
    if (check := getattr(module, "check", None)) is not None:
        check(config)
    return module.Driver
