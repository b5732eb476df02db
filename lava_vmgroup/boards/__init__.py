# SPDX-License-Identifier: MIT
"""Board drivers: one module per ``client_type``, found by its name.

A driver module has a class ``Driver`` that fulfils `Board`, and where it cannot serve every device,
a function ``check`` that raises the `ConfigurationError` for one.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.connections.ssh_access import Access
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.watch import Watch
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.tftp import KernelFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSetup:
    """What every board driver is made from."""

    config: DeviceConfig
    dispatcher: DispatcherConfig
    recorder: Recorder
    log: NodeLog
    files: JobFiles
    """Gets the files that the lab's configuration names."""
    job: str
    """The group's unique name, for what the driver leaves on shared ground for a while."""
    watch: Watch | None = None
    """Looks for faults on the board's console."""


class Board(Protocol):
    """A physical machine: power, console, and the way to its shell."""

    deploys: bool
    """Whether something can be deployed to it; else it is up already, as it is."""

    def configure(self, config: DeviceConfig) -> None:
        """Use this configuration from now on: the device's with the job's settings over it."""
        ...

    def deploy_image(self, image: Path, deadline: Deadline) -> None:
        """Put a disk image on the board, to be booted by the next `boot`."""
        ...

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """Offer kernel, ramdisk and device tree, to be booted by the next `boot`."""
        ...

    def boot(self, deadline: Deadline) -> Shell:
        """Power-cycle the board and bring it to a root shell; retries as configured."""
        ...

    @property
    def access(self) -> Access | None:
        """The lab's own way into the booted system by SSH; None to make one on the console."""
        ...

    def power_off(self, deadline: Deadline) -> None:
        """Switch the board off."""
        ...

    def close(self) -> None:
        """Let go of the console and of what was offered; idempotent."""
        ...


def load(setup: BoardSetup) -> Board:
    """The driver that the device's ``client_type`` names."""
    driver: Board = driver_class(setup.config)(setup)
    return driver


def driver_class(config: DeviceConfig) -> Any:
    """The class of the driver that a device needs.

    Raises `ConfigurationError` where there is none, or where it cannot serve the device.
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
