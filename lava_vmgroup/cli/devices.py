# SPDX-License-Identifier: MIT
"""The device that a command line chooses for the host."""

from __future__ import annotations

import argparse
from pathlib import Path

from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.inventory import find_device, of_type


def given_device(options: argparse.Namespace, search_path: tuple[Path, ...]) -> DeviceConfig | None:
    """Return the device of ``--device``, or None without that option.

    Raises `ConfigurationError` for a file that cannot be read or is wrong.
    """
    if options.device is None:
        return None
    # Most jobs need no YAML for their device.
    from lava_vmgroup.config.dictionary.loading import load_device

    return load_device(options.device, search_path, options.config)


def host_device(
    device_type: str,
    search_path: tuple[Path, ...],
    options: argparse.Namespace,
    target: str | None,
    given: DeviceConfig | None,
) -> DeviceConfig:
    """Return the device for a host of `device_type`: `given`, `target`, or the lab's only one.

    Raises `ConfigurationError` if there is none, or if the chosen one is of another type.
    """
    if given is not None:
        return of_type(given, device_type, "--device")
    return find_device(device_type, search_path, target, options.config)
