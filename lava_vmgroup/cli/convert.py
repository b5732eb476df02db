# SPDX-License-Identifier: MIT
"""``lava-dispatch devices convert``: a device dictionary of LAVA v2 as files of a lab."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.boards import driver_class
from lava_vmgroup.config import files
from lava_vmgroup.config.dictionary import Dictionary, read
from lava_vmgroup.config.dictionary.loading import load_device
from lava_vmgroup.results.printable import one_line

_UNWRITABLE = re.compile(r"[\x00-\x09\x0b-\x1f]|^\s*[#;]", re.MULTILINE)


def convert(options: argparse.Namespace) -> int:
    """Write the files of a device, print their paths, and return the exit status 0.

    Raises `ConfigurationError` for a dictionary that is wrong, or that no driver can serve, and if
    a file is there already.
    """
    found = read(options.file)
    device_type = options.device_type or found.type
    if not device_type:
        raise ConfigurationError(
            f"{options.file} does not name the device's type", hint="give it by --device-type"
        )
    _check_lines(found)
    driver_class(load_device(options.file, files.search_path()[:1]))
    device = options.folder / "devices" / f"{found.name}.conf"
    kind = options.folder / "device-types" / f"{device_type}.conf"
    _write(device, _device_text(found, options.file, device_type))
    if not kind.exists():
        _write(kind, "# What the devices of this type have in common.\n")
    sys.stdout.write(f"{device}\n{kind}\n")
    return 0


def _check_lines(found: Dictionary) -> None:
    """Raise `ConfigurationError` for a value that a ``.conf`` file cannot have."""
    for key, value in found.texts.items():
        if _UNWRITABLE.search(value):
            raise ConfigurationError(
                f"{key}: the value {value!r} cannot stand in a .conf file",
                hint="use the dictionary itself, by --device",
            )


def _device_text(found: Dictionary, source: Path, device_type: str) -> str:
    lines = [f"# Made of {source.name}, a device dictionary of LAVA v2."]
    if found.others:
        names = one_line(", ".join(found.others))
        lines.append(f"# Its boot methods that only LAVA can do: {names}")
    for key, value in {"device_type": device_type, **found.texts}.items():
        lines.append(f"{key} = {value}".replace("\n", "\n    "))
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a new file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror}", hint="remove it, or give another folder"
        ) from error
