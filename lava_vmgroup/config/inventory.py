# SPDX-License-Identifier: MIT
"""The lab's devices and device types: their names, and their configuration.

A device's configuration comes from these files, from the lowest precedence to the highest:
``device-defaults.conf``, ``device-types/<type>.conf``, ``devices/<name>.conf`` and the file of
``--config``.  Each of the first three is read from every folder of the search path in turn.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.config import files, typed
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.labgrid import lay_commands
from lava_vmgroup.config.qemu_options import understood


def load_device(
    name: str, search_path: tuple[Path, ...], extra_file: Path | None = None
) -> DeviceConfig:
    """Read a device's configuration; `extra_file` (``--config``) overrides every other file.

    Raises ConfigurationError for an unknown device or device type and for a value that does not
    fit.
    """
    device_type = _device_type(name, search_path, extra_file)
    if not device_type:
        raise ConfigurationError(
            f"there is no device {name!r}, or its files give it no device_type",
            hint=_known("devices", name, files.names_in("devices", search_path))
            + f"; a new one needs devices/{name}.conf with device_type = <type>",
        )
    if device_type not in (known := files.names_in("device-types", search_path)):
        raise ConfigurationError(
            f"device {name}: there is no device type {device_type!r}",
            hint=_known("device types", device_type, known)
            + f"; a new one needs device-types/{device_type}.conf",
        )
    layers = _type_layers(device_type, search_path)
    layers.read_all(f"devices/{name}.conf", search_path)
    if extra_file:
        layers.read(extra_file)
    return device_of(layers, name, device_type)


def load_device_file(
    file: Path, search_path: tuple[Path, ...], extra_file: Path | None = None
) -> DeviceConfig:
    """Read a device's configuration from a file like ``devices/<name>.conf`` at another place.

    Raises ConfigurationError for a file that does not exist or names no device type, and for a
    value that does not fit.
    """
    layers = files.Layers()
    if not layers.read(file):
        raise ConfigurationError(
            f"the device file {file} does not exist", hint="give --device an existing file"
        )
    device_type = layers.get("device_type")
    if not device_type:
        raise ConfigurationError(
            f"{file} names no device_type", hint="add a line device_type = <type>"
        )
    layers = _type_layers(device_type, search_path)
    layers.read(file)
    if extra_file and not layers.read(extra_file):
        raise no_such_file(extra_file)
    return device_of(layers, file.stem, device_type)


def load_vm_type(
    device_type: str, search_path: tuple[Path, ...], extra_file: Path | None = None
) -> DeviceConfig:
    """Read the configuration of a VM's device type; `extra_file` overrides every other file.

    Raises JobError for an unknown type, as the job names it, and ConfigurationError for a value
    that does not fit.
    """
    if device_type not in (known := files.names_in("device-types", search_path)):
        raise JobError(
            f"there is no device type {device_type!r}",
            hint=_known("device types", device_type, known),
        )
    layers = _type_layers(device_type, search_path)
    if extra_file:
        layers.read(extra_file)
    return device_of(layers, device_type, device_type)


def load_place(
    place: str, device_type: str, search_path: tuple[Path, ...], extra_file: Path | None = None
) -> DeviceConfig:
    """Return a device that has no file: a place of labgrid's, with a board of `device_type`.

    Raises ConfigurationError for an unknown type and for a value that does not fit.
    """
    if device_type not in (known := files.names_in("device-types", search_path)):
        raise ConfigurationError(
            f"there is no device type {device_type!r}", hint=_known("types", device_type, known)
        )
    layers = _type_layers(device_type, search_path)
    layers.lay({"labgrid_place": files.literal(place)}, Path("--host"))
    if extra_file and not layers.read(extra_file):
        raise no_such_file(extra_file)
    return device_of(layers, files.literal(place), device_type)


def backend_type(extra_file: Path) -> str | None:
    """Return the kind of VM that a file of LAVA's scheduler names, or None.

    Raises ConfigurationError if the file does not exist or cannot be read.
    """
    layers = files.Layers()
    if not layers.read(extra_file):
        raise no_such_file(extra_file)
    return layers.get("dynamic_vm_backend_device_type") or None


def known_devices(search_path: tuple[Path, ...]) -> dict[str, str]:
    """Return the name of each device with its device type, "" if its files give none."""
    names = files.names_in("devices", search_path)
    return {name: _device_type(name, search_path) for name in names}


def find_device(
    device_type: str,
    search_path: tuple[Path, ...],
    target: str | None = None,
    extra_file: Path | None = None,
) -> DeviceConfig:
    """Return the device for a host: `target`, or the lab's only device of `device_type`.

    Raises ConfigurationError if `target` is None and the lab has no or several such devices, if
    `target` is of another type, and as `load_device` does.
    """
    if target is None:
        target = _only(device_type, known_devices(search_path))
    hint = f"use --target with a device of type {device_type}"
    return of_type(load_device(target, search_path, extra_file), device_type, hint)


def of_type(device: DeviceConfig, device_type: str, hint: str) -> DeviceConfig:
    """Return a device that the user chose; one of no type gets `device_type`.

    Raises ConfigurationError, with `hint`, for a device of another type.
    """
    if device.device_type not in ("", device_type):
        raise ConfigurationError(
            f"device {device.hostname} is of type {device.device_type}, but the job wants "
            f"{device_type}",
            hint=hint,
        )
    return replace(device, device_type=device_type)


def _only(device_type: str, devices: Mapping[str, str]) -> str:
    fitting = sorted(name for name, kind in devices.items() if kind == device_type)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ConfigurationError(
            f"several devices are of type {device_type}: {', '.join(fitting)}",
            hint=f"use --target, for example --target {fitting[0]}",
        )
    there = ", ".join(f"{name} ({kind or 'no type'})" for name, kind in sorted(devices.items()))
    raise ConfigurationError(
        f"no device is of type {device_type}; devices: {there or 'none'}",
        hint=f"add devices/<name>.conf with device_type = {device_type}, or use --target",
    )


def _device_type(name: str, path: tuple[Path, ...], extra_file: Path | None = None) -> str:
    layers = files.Layers()
    if Path(name).name == name:  # a name with a slash would lead out of the folder
        layers.read_all(f"devices/{name}.conf", path)
    if extra_file and not layers.read(extra_file):
        raise no_such_file(extra_file)
    return layers.get("device_type")


def no_such_file(extra_file: Path) -> ConfigurationError:
    """Return the error for a missing file of ``--config``."""
    return ConfigurationError(
        f"the configuration file {extra_file} does not exist",
        hint="give --config an existing file",
    )


def _type_layers(device_type: str, path: tuple[Path, ...]) -> files.Layers:
    layers = files.Layers(typed.default_texts(DeviceConfig))
    layers.read_all("device-defaults.conf", path)
    layers.read_all(f"device-types/{device_type}.conf", path)
    return layers


def device_of(
    layers: files.Layers, name: str, device_type: str, other_methods: tuple[str, ...] = ()
) -> DeviceConfig:
    """Return the configuration that some layers say; the name and the type are given.

    Raises ConfigurationError for a value that does not fit.
    """
    layers.force("hostname", name)
    layers.force("device_type", device_type)
    lay_commands(layers)
    keys = layers.keys()
    declared = frozenset(typed.key_names(DeviceConfig))
    config = typed.read_keys(
        DeviceConfig,
        layers,
        other_methods=other_methods,
        extra=MappingProxyType({key: layers.lenient(key) for key in keys if key not in declared}),
        sources=MappingProxyType({key: layers.place(key) for key in keys if layers.source(key)}),
    )
    config.check_ports()
    return understood(config) if config.is_qemu else config


def _known(what: str, wanted: str, names: Iterable[str]) -> str:
    names = list(names)
    close = difflib.get_close_matches(wanted, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}known {what}: {', '.join(names) or 'none'}"
