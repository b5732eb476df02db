# SPDX-License-Identifier: MIT
"""Devices from the files of ``--device``, and of LAVA v2 around this process."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.place import shown
from lava_vmgroup.config import files, inventory, typed
from lava_vmgroup.config.device import DeviceConfig, has_free_name
from lava_vmgroup.config.dictionary import OURS, Dictionary, read
from lava_vmgroup.config.dictionary.environment import read_environment

LAVAS = "LAVA's environment"
"""The source of keys that LAVA's variables gave."""

_GIVEN = ("hostname", "device_type")
"""The keys that the dictionary or the job itself gives."""


def load_device(
    file: Path, search_path: tuple[Path, ...], extra_file: Path | None = None
) -> DeviceConfig:
    """Read a device: a device dictionary, or a ``.conf`` file like ``devices/<name>.conf``.

    A dictionary needs no file for its device type.  `extra_file` (``--config``) overrides the file.
    Raises ConfigurationError for a file that does not exist or cannot be read, and for a value that
    does not fit.
    """
    if file.suffix == ".conf":
        return inventory.load_device_file(file, search_path, extra_file)
    found = read(file)
    layers = files.Layers(typed.default_texts(DeviceConfig))
    layers.read_all("device-defaults.conf", search_path)
    _lay(layers, found, file, "static_info")
    return _device(layers, found, found.type, extra_file)


def load_environment(
    environment: Mapping[str, str],
    device_type: str,
    search_path: tuple[Path, ...],
    extra_file: Path | None = None,
) -> DeviceConfig:
    """Return the device of the LAVA v2 job that this process is a test of.

    LAVA passes only a part of a device dictionary.  So the file of the device's type, if the lab
    has one, says the rest; else the board boots by itself.  LAVA's name for the type is taken if
    there is one, else `device_type`.  Raises ConfigurationError as `load_device` does.
    """
    found = read_environment(environment)
    layers = files.Layers(typed.default_texts(DeviceConfig))
    layers.read_all("device-defaults.conf", search_path)
    origin = Path(LAVAS)
    layers.lay({"client_type": "bootloader", "minimal_boot": "yes"}, origin)
    layers.read_all(f"device-types/{found.type or device_type}.conf", search_path)
    _lay(layers, found, origin, "LAVA_STATIC_INFO")
    return _device(layers, found, found.type or device_type, extra_file)


def _lay(layers: files.Layers, found: Dictionary, origin: Path, place: str) -> None:
    known = [key for key in typed.key_names(DeviceConfig) if key not in _GIVEN]
    for key in found.texts:
        if key not in known and not has_free_name(key):
            near = difflib.get_close_matches(key, known, n=1)
            guess = f"; did you mean '{OURS}{near[0]}'?" if near else ""
            raise ConfigurationError(
                f"{origin}: {place}: unknown key {shown(OURS + key)}{guess}",
                hint=f"the keys of devices are known here, with {OURS} before their names",
            )
    layers.lay(found.texts, origin)


def _device(
    layers: files.Layers, found: Dictionary, device_type: str, extra_file: Path | None
) -> DeviceConfig:
    if extra_file and not layers.read(extra_file):
        raise inventory.no_such_file(extra_file)
    return inventory.device_of(layers, found.name, device_type, found.others)
