# SPDX-License-Identifier: MIT
"""The device that a command line chooses for the host."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.inventory import find_device, load_place, of_type

_COMMANDS = ("connection_command", "hard_reset_command", "power_on_cmd", "power_off_cmd")


def given_device(
    options: argparse.Namespace, search_path: tuple[Path, ...], device_type: str
) -> DeviceConfig | None:
    """Return the device of ``--device``, ``--host`` or LAVA; None if it is one of the lab's.

    `device_type` is the type that the job wants.  Raises `ConfigurationError` for a file that
    cannot be read or is wrong, and for an environment without a device.
    """
    if options.host is not None:
        return load_place(options.host, device_type, search_path, options.config)
    if options.device is None and (options.target or not options.inside_lava):
        return None
    # Other jobs need no YAML for their device.
    from lava_vmgroup.config.dictionary.loading import load_device, load_environment

    if options.device is not None:
        return load_device(options.device, search_path, options.config)
    device = load_environment(os.environ, device_type, search_path, options.config)
    _check_programs(device)
    return device


def _check_programs(device: DeviceConfig) -> None:
    """Raise `ConfigurationError` if the container of LAVA's test lacks a program for the device."""
    for key in _COMMANDS:
        # LAVA's commands are plain words; those of the lab's files may be any shell.
        words = shlex.split(getattr(device, key)) if _is_lavas(device, key) else []
        firsts = [word for before, word in pairwise(["&&", *words]) if before == "&&"]
        for program in firsts:
            if shutil.which(program) is None:
                raise ConfigurationError(
                    f"{device.place(key)}: there is no program {program!r} here",
                    hint="install it in the container's image, or let the worker bring it by "
                    "test_docker_bind_mounts",
                )


def _is_lavas(device: DeviceConfig, key: str) -> bool:
    """Return whether LAVA's environment gave a key its value."""
    from lava_vmgroup.config.dictionary.loading import LAVAS

    return device.sources.get(key, "").startswith(LAVAS)


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
        hint = f"use --device with a device of type {device_type}"
        if options.device is None:
            hint = f"write {given.device_type} as the device_type of vm_group.host"
        return of_type(given, device_type, hint)
    return find_device(device_type, search_path, target, options.config)
