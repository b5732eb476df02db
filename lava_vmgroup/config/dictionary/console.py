# SPDX-License-Identifier: MIT
"""The console and the power of a device dictionary, as keys of the configuration.

LAVA starts each command without a shell, so in a command's text only quotes and backslashes mean
something.  The configuration's commands run in a shell, where ``&`` would, too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.dictionary.document import part

_POWER = {
    "hard_reset": "hard_reset_command",
    "power_on": "power_on_cmd",
    "power_off": "power_off_cmd",
    "pre_power_command": "pre_power_cmd",
    "pre_os_command": "pre_os_cmd",
}
_DELAYS = {"boot": "bootloader_serial_delay_ms", "test": "test_shell_serial_delay_ms"}
_TERMINATE = "connection_command_terminate"
_TELNETS_WELCOME = "Escape character is"


def primary(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the connection to the console; an empty mapping if the dictionary names no console.

    Raises ConfigurationError if there are connections, and none has the tag ``primary``.
    """
    commands = part(document, "commands")
    if connect := commands.get("connect"):
        return {"connect": connect}
    connections = part(commands, "connections")
    for connection in connections.values():
        if _is_primary(connection):
            found: Mapping[str, Any] = connection
            return found
    if connections:
        raise ConfigurationError(
            f"commands.connections: none of {', '.join(map(str, connections))} is the console",
            hint="give one the tag primary in connection_tags",
        )
    return {}


def _port_keys(names: Sequence[str]) -> list[str]:
    """Return a key for each port; keys ignore case, and two are about the console."""
    keys: list[str] = []
    for name in names:
        key = f"connection_command_{re.sub('[^a-z0-9_-]', '_', name.lower())}"
        while key in ("connection_command_pattern", _TERMINATE, *keys):
            key += "_"
        keys.append(key)
    return keys


def _is_primary(connection: Mapping[str, Any]) -> bool:
    return "primary" in (connection.get("tags") or ())


def texts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys for console, power and typing; raises the errors of `primary` and `joined`."""
    if connection := primary(document):
        yield from connection_texts(connection["connect"])
    commands = part(document, "commands")
    others = [one for one in part(commands, "connections").items() if not _is_primary(one[1])]
    for key, (_, connection) in zip(_port_keys([name for name, _ in others]), others, strict=True):
        yield key, connection["connect"]
    for name, key in _POWER.items():
        if command := joined(commands.get(name) or (), f"commands.{name}"):
            yield key, command
    if soft := commands.get("soft_reboot"):
        yield "soft_boot_cmd", "; ".join(_listed(soft))
    delays = part(document, "character_delays")
    yield from ((key, delays[name]) for name, key in _DELAYS.items() if name in delays)


def connection_texts(command: str) -> Iterator[tuple[str, str]]:
    """Yield the keys for a console; LAVA waits for no welcome, but telnet's is there for sure."""
    is_telnet = command.split()[:1] == ["telnet"]
    yield "connection_command", command
    yield "connection_command_pattern", _TELNETS_WELCOME if is_telnet else '""'


def joined(value: str | Sequence[str], place: str) -> str:
    """Return commands that run one after the other without a shell as one command of a shell.

    Raises ConfigurationError, with `place`, for quotes that do not match.
    """
    split = [words_of(one, place) for one in _listed(value)]
    return " && ".join(shlex.join(words) for words in split if words)


def words_of(command: str, place: str) -> list[str]:
    """Return the words of a command; raises ConfigurationError, with `place`, as `joined`."""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(
            f"{place}: expected words quoted as in a shell, but: {error}", hint="correct it there"
        ) from error


def _listed(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
