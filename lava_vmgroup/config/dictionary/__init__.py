# SPDX-License-Identifier: MIT
"""LAVA v2's device dictionaries, as keys of the configuration.

A dictionary is the YAML that LAVA renders for a device: the output of ``lavacli devices dict get
--render`` and the input of ``lava-run --device``.  Its methods decide about the driver:

1. ``u-boot`` with commands for a ramdisk or an NFS root: the driver ``bootloader``.
2. Else ``minimal`` with a console: the driver ``bootloader``, whose board boots by itself.
3. Else ``ssh`` with a host: the driver ``ssh``.

Entries of ``static_info`` whose names begin with `OURS` are keys of the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.base.place import shown
from lava_vmgroup.config.dictionary import console, document, u_boot
from lava_vmgroup.config.dictionary.document import part
from lava_vmgroup.config.files import literal

OURS = "vmgroup_"
"""The beginning of entries of ``static_info`` that are keys of the configuration."""
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,199}", re.ASCII)
_DONE = ("u-boot", "minimal", "ssh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """A device dictionary."""

    name: str
    type: str
    """The device's type; "" in dictionaries of releases of LAVA that do not name it."""
    texts: Mapping[str, str]
    """The configuration's keys, with values as in its files."""
    others: tuple[str, ...]
    """The boot methods of the dictionary that this program cannot do."""


def read(path: Path) -> Dictionary:
    """Read the dictionary in a file.

    Raises ConfigurationError for a file that is none, that names no console, or whose methods this
    program cannot do.
    """
    content = document.load(path)
    try:
        texts = dict(_texts(content))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}", hint=error.hint) from error
    methods = part(content, "actions", "boot", "methods")
    return Dictionary(
        name=_named(content, "hostname", path) or path.stem,
        type=_named(content, "devicetype", path),
        texts=MappingProxyType(texts),
        others=tuple(sorted(name for name in methods if name not in _DONE)),
    )


def _named(content: Mapping[str, Any], key: str, path: Path) -> str:
    """Return a name, which becomes a file's; "" if there is none."""
    name = str(content.get(key) or "")
    if name and not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{path}: {key}: expected a name of letters, digits and _.+-, found {shown(name)}",
            hint="correct it there",
        )
    return name


def _texts(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    pairs = [*_driver(content), *console.texts(content)]
    if u_boot.boots(content):
        pairs += u_boot.texts(content)
    for key, value in pairs:
        yield key, literal(str(value).strip())
    for info in content.get("static_info") or ():
        ours = ((str(key), value) for key, value in info.items() if value is not None)
        yield from ((key.removeprefix(OURS), str(v)) for key, v in ours if key.startswith(OURS))


def _driver(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys that name the driver and that only it needs."""
    methods = part(content, "actions", "boot", "methods")
    has_console = bool(console.primary(content))
    login = part(content, "actions", "deploy", "methods", "ssh")
    if has_console and (u_boot.boots(content) or "minimal" in methods):
        yield from (("client_type", "bootloader"), ("minimal_boot", "yes"))
    elif "ssh" in methods and login.get("host"):
        yield "client_type", "ssh"
        for name, key in (("host", "ssh_host"), ("port", "ssh_port"), ("user", "ssh_username")):
            if value := login.get(name):
                yield key, value
        if Path(key := login.get("identity_file") or "").is_absolute():
            yield "ssh_identity_file", key
    elif not has_console and ("u-boot" in methods or "minimal" in methods):
        raise ConfigurationError(
            "commands.connections: missing, so the board has no console",
            hint="set connection_list, connection_commands and connection_tags for the device",
        )
    else:
        raise ConfigurationError(
            f"actions.boot.methods: this program can do none of {_listed(methods)}",
            hint="it can do minimal, ssh with a host, and u-boot with commands for ramdisk or nfs; "
            "LAVA can boot the board and hand it over",
        )


def _listed(methods: Mapping[str, Any]) -> str:
    """Return the names of boot methods, with a remark at those that lack something."""
    remarks = {"ssh": "ssh (it has no host)", "u-boot": "u-boot (it has no commands for a kernel)"}
    return ", ".join(remarks.get(name, name) for name in methods) or "nothing"
