# SPDX-License-Identifier: MIT
"""The device of a test that LAVA v2 runs in a container, from LAVA's environment variables.

LAVA passes the commands for console and power, the typing delays, and the entries of
``static_info``.  Releases before 2026.10 pass neither the device's name nor its type.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import groupby
from types import MappingProxyType

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.dictionary import OURS, Dictionary, console
from lava_vmgroup.config.files import literal

_CONSOLE = "LAVA_CONNECTION_COMMAND"
_POWER = {
    "LAVA_HARD_RESET_COMMAND": "hard_reset_command",
    "LAVA_POWER_ON_COMMAND": "power_on_cmd",
    "LAVA_POWER_OFF_COMMAND": "power_off_cmd",
}
_DELAYS = {
    "LAVA_BOOT_CHARACTER_DELAYS": "bootloader_serial_delay_ms",
    "LAVA_TEST_CHARACTER_DELAYS": "test_shell_serial_delay_ms",
}
_STATIC = re.compile(rf"LAVA_STATIC_INFO_[0-9]+_{OURS}(\w+)")
_AND = "&&"
"""LAVA joins the commands of a list by this word."""


def read_environment(environment: Mapping[str, str]) -> Dictionary:
    """Return the device that LAVA's variables describe.

    Raises ConfigurationError if they name neither a console nor a host for SSH, and for a command
    whose quotes do not match.
    """
    texts = dict(_texts(environment))
    if "connection_command" not in texts and texts.get("client_type") != "ssh":
        raise ConfigurationError(
            f"LAVA has not set {_CONSOLE}, so there is no console",
            hint="in the device dictionary, set connection_list, connection_commands and a "
            "connection_tags with primary; or name the device by --device or --target",
        )
    return Dictionary(
        name=environment.get("LAVA_DEVICE_HOSTNAME") or "board",
        type=environment.get("LAVA_DEVICE_TYPE", ""),
        texts=MappingProxyType(texts),
        others=(),
    )


def _texts(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if command := environment.get(_CONSOLE):
        console.words_of(_unescaped(command), _CONSOLE)
        pairs += console.connection_texts(_unescaped(command))
    for name, key in _POWER.items():
        if command := environment.get(name):
            pairs.append((key, _joined(console.words_of(_unescaped(command), name))))
    pairs += [(key, environment[name]) for name, key in _DELAYS.items() if name in environment]
    yield from ((key, literal(value)) for key, value in pairs)
    for name, value in environment.items():
        if found := _STATIC.fullmatch(name):
            yield found[1], value


def _joined(words: list[str]) -> str:
    """Return the words of some commands as one command of a shell; only the commands are joined."""
    commands = (
        list(group) for is_and, group in groupby(words, lambda word: word == _AND) if not is_and
    )
    return f" {_AND} ".join(map(shlex.join, commands))


def _unescaped(command: str) -> str:
    """Return a command as the dictionary has it: some releases of LAVA escape its quotes."""
    return command.replace('\\"', '"') if '"' not in command.replace('\\"', "") else command
