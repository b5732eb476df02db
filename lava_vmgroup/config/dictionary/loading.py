# SPDX-License-Identifier: MIT
"""Devices from the files of ``--device``."""

from __future__ import annotations

from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.place import unknown
from lava_vmgroup.config import files, inventory, typed
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dictionary import read


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
    known = typed.key_names(DeviceConfig)
    for key in found.texts:
        if key not in known:
            raise ConfigurationError(f"{file}: static_info: {unknown(key, known, 'key')}")
    layers = files.Layers(typed.default_texts(DeviceConfig))
    layers.read_all("device-defaults.conf", search_path)
    layers.lay(found.texts, file)
    if extra_file and not layers.read(extra_file):
        raise inventory.no_such_file(extra_file)
    return inventory.device_of(layers, found.name, found.type, found.others)
