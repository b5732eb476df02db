# SPDX-License-Identifier: MIT
"""The file of a device dictionary: rendered YAML, checked where this program reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lava_vmgroup.base import safe_yaml
from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.place import shown
from lava_vmgroup.base.shape import YAML_TYPES, Wording, violations
from lava_vmgroup.base.text import decoded

_JINJA = ("{%", "{{", "{#")
_RENDER = "give the rendered dictionary: lavacli devices dict get --render NAME"

_TEXT = {"type": "string"}
_TEXTS = {"type": ["array", "null"], "items": _TEXT}
_COMMANDS = {"type": ["string", "array", "null"], "items": _TEXT}


def _section(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """Return the schema of a mapping that may have other keys, too.

    Without required keys, the mapping may be null.
    """
    kind = "object" if required else ["object", "null"]
    return {"type": kind, "properties": dict(properties), "required": list(required)}


def _mapping_of(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": ["object", "null"], "additionalProperties": values}


_PARTS = ("kernel", "ramdisk", "dtb")
_ADDRESSES = _section(dict.fromkeys(_PARTS, _TEXT), *_PARTS)
_OPTIONAL = {"type": ["string", "null"]}
_DURATIONS = _mapping_of(_mapping_of(_OPTIONAL))
_POWER = ("hard_reset", "power_on", "power_off", "soft_reboot", "pre_power_command")
_LIST = _section({"commands": _TEXTS})
_KEYS = ("interrupt_char", "interrupt_prompt", "bootloader_prompt", "needs_interrupt", "lava_mac")
_CONTROL = _section({"interrupt_ctrl_list": _TEXTS, **dict.fromkeys(_KEYS, _OPTIONAL)})
_CONSTANTS = ("interrupt-character", "interrupt-prompt", "interrupt-newline")
_LOGIN = dict.fromkeys(("host", "port", "user", "identity_file"), _OPTIONAL)
_FORMATS = dict.fromkeys(("add_header", "mkimage_arch", "append_dtb", "use_xip"), _OPTIONAL)
_U_BOOT = _section({"parameters": _CONTROL, "ramdisk": _LIST, "nfs": _LIST})

SCHEMA = _section(
    {
        "hostname": _OPTIONAL,
        "devicetype": _OPTIONAL,
        "commands": _section(
            {
                "connect": _TEXT,
                "connections": _mapping_of(_section({"connect": _TEXT, "tags": _TEXTS}, "connect")),
                **dict.fromkeys((*_POWER, "pre_os_command"), _COMMANDS),
            }
        ),
        "character_delays": _section({"boot": _TEXT, "test": _TEXT}),
        "constants": _section(
            {
                "u-boot": _section(
                    {"interrupt_ctrl_list": _TEXTS, **dict.fromkeys(_CONSTANTS, _OPTIONAL)}
                ),
                "boot_retry": _OPTIONAL,
                "kernel-start-message": _OPTIONAL,
            }
        ),
        "parameters": _section(
            {**dict.fromkeys(("booti", "bootz", "bootm"), _ADDRESSES), "text_offset": _OPTIONAL}
        ),
        "static_info": {"type": ["array", "null"], "items": {"type": "object"}},
        "timeouts": _section({"actions": _DURATIONS, "connections": _DURATIONS}),
        "actions": _section(
            {
                "deploy": _section(
                    {
                        "parameters": _section(_FORMATS),
                        "methods": _section({"ssh": _section(_LOGIN)}),
                    }
                ),
                "boot": _section(
                    {"methods": {"type": "object", "properties": {"u-boot": _U_BOOT}}}, "methods"
                ),
            },
            "boot",
        ),
    },
    "actions",
)
"""The parts of LAVA's schema of device dictionaries that this program reads; null is empty."""


def load(path: Path) -> Mapping[str, Any]:
    """Read the dictionary in a file; all its scalars are text.

    Raises ConfigurationError, with the place, for a file that is no rendered device dictionary.
    """
    try:
        if not path.is_file() and path.exists():
            raise ConfigurationError(f"{path} is no file", hint="give --device a file")
        if path.stat().st_size > safe_yaml.MAX_TEXT:
            raise ConfigurationError(f"{path} is too large", hint=_RENDER)
        text = decoded(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the device {path}: {error.strerror}", hint="give --device a file"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} {error}") from error
    try:
        document = safe_yaml.load(text, repeated_keys=True)
    except safe_yaml.ERRORS as error:
        line, column, message = safe_yaml.problem(error)
        place = f":{line}:{column}" if line else ""
        if any(mark in text for mark in _JINJA):
            message = "a Jinja template, not YAML"
        raise ConfigurationError(f"{path}{place}: {message}", hint=_RENDER) from error
    if problems := list(violations(document, SCHEMA, _WORDING)):
        raise ConfigurationError(
            f"{path} is no device dictionary of LAVA v2: {'; '.join(problems)}", hint=_RENDER
        )
    assert isinstance(document, dict), "the schema wants an object"
    return document


def part(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """Return the mapping at a path of keys; an empty one if something of it is missing or null."""
    for key in keys:
        document = document.get(key) or MappingProxyType({})
    return document


def _missing(_where: str, _schema: Mapping[str, Any]) -> str:
    return "every device dictionary has it"


def _unknown(name: Any, known: Sequence[Any], _kind: str) -> str:
    return f"expected one of {', '.join(map(str, known))}, found {shown(name)}"


def _mismatch(expected: str, value: Any, _key: object) -> str:
    return f"expected {expected}, found {shown(value)}"


_WORDING = Wording(
    document="the file",
    types=YAML_TYPES,
    empty="must not be empty",
    missing=_missing,
    unknown=_unknown,
    mismatch=_mismatch,
)
