# SPDX-License-Identifier: MIT
"""The configuration of devices that labgrid shares out."""

from __future__ import annotations

from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.files import Layers

PLACE = "LG_PLACE"
"""labgrid's environment variable for the place that a command is about."""

_TAG = "labgrid_tags"
_CHOICES = ("labgrid_place", _TAG, "acquire_command")
_COMMANDS = {
    # labgrid-client runs one of two programs, and each says this first.
    "connection_command": "%(labgrid_client)s console",
    "connection_command_pattern": "Escape character|[Cc]onnected to",
    "hard_reset_command": "%(labgrid_client)s power cycle",
    "power_on_cmd": "%(labgrid_client)s power on",
    "power_off_cmd": "%(labgrid_client)s power off",
}
"""Values of keys that no file sets; the environment names the place."""


def lay_commands(layers: Layers) -> None:
    """Set the keys of a device with a place in labgrid that no file has set.

    Raises ConfigurationError if a device is acquired in two ways, or if a tag has no value.
    """
    chosen = [key for key in _CHOICES if layers.get(key)]
    if len(chosen) > 1:
        raise ConfigurationError(
            f"{layers.place(chosen[0])} and {layers.place(chosen[1])} exclude each other",
            hint="remove one of the two",
        )
    if not set(chosen) & {"labgrid_place", _TAG}:
        return
    if not layers.get("labgrid_client"):
        raise ConfigurationError(
            f"{layers.place('labgrid_client')} is empty",
            hint="write labgrid-client, or leave it out",
        )
    for pair in layers.get(_TAG).split():
        if not all(pair.partition("=")):
            raise ConfigurationError(
                f"{layers.place(_TAG)}: expected pairs like board=imx8, found {pair!r}"
            )
    unset = {key: text for key, text in _COMMANDS.items() if layers.source(key) is None}
    layers.lay(unset, Path("labgrid"))
