# SPDX-License-Identifier: MIT
"""The configuration of one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.inventory import load_vm_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The dispatcher's configuration for a run."""

    device: DeviceConfig | None
    """The host's device; None where no host is run."""
    dispatcher: DispatcherConfig
    search_path: tuple[Path, ...]
    vm_config: Path | None = None
    """A file above the VMs' device types, for a VM that a scheduler has given one."""

    holds_device: Callable[[Deadline], bool] = lambda _limit: True
    """Says whether the device is still this process's, or somebody else has taken it."""

    def type_of(self, device_type: str) -> DeviceConfig:
        """Return the configuration of a VM's device type; for errors see `load_vm_type`."""
        return load_vm_type(device_type, self.search_path, self.vm_config)
