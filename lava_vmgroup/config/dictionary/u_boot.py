# SPDX-License-Identifier: MIT
"""The boot method ``u-boot`` of a device dictionary, as keys of the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config import commands
from lava_vmgroup.config.dictionary.document import part

_ADDRESSES = {"bootm": "u_load_addrs", "bootz": "z_load_addrs", "booti": "i_load_addrs"}
_LISTS = {"ramdisk": "boot_cmds_ramdisk", "nfs": "boot_cmds_nfs"}
_LIMITS = {
    "bootloader_timeout": ("actions", "bootloader-interrupt"),
    "boot_cmd_timeout": ("connections", "bootloader-commands"),
}
_UNITS = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
_FALSE = ("false", "no", "off")

_SERVER = "{SERVER_IP}"
_SAME = {
    "{NFS_SERVER_IP}": _SERVER,
    "{LAVA_DISPATCHER_IP}": _SERVER,
    "{INITRD}": "{RAMDISK}",
    "{RAMDISK_ADDR}": "{INITRD_ADDR}",
}
"""LAVA's tags under the names that they have in the configuration."""
_ABSENT = re.compile(r"\{(TEE|TEE_ADDR|LAVA_MAC|PRESEED_\w+)\}")
"""Tags of things that no job of ours has: LAVA leaves out a command with such a tag."""


def boots(document: Mapping[str, Any]) -> bool:
    """Return True if the dictionary says how U-Boot boots a kernel over the network."""
    method = part(document, "actions", "boot", "methods", "u-boot")
    return any(part(method, kind).get("commands") for kind in _LISTS)


def texts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys for the boot loader, the boot commands and the files that they load."""
    method = part(document, "actions", "boot", "methods", "u-boot")
    yield from _dialogue(part(method, "parameters"), part(document, "constants", "u-boot"))
    header = part(document, "actions", "deploy", "parameters").get("add_header")
    for kind, key in _LISTS.items():
        if lines := part(method, kind).get("commands"):
            mac = part(method, "parameters").get("lava_mac")
            yield key, commands.format_list(_translated(lines, header, mac))
    yield from _files(document, header)
    for key, (group, name) in _LIMITS.items():
        place = f"timeouts.{group}.{name}"
        if seconds := _seconds(part(document, "timeouts", group, name), place):
            yield key, str(seconds)
    if tries := part(document, "constants").get("boot_retry"):
        yield "boot_retries", tries
    if message := part(document, "constants").get("kernel-start-message"):
        yield "image_boot_msg", message


def _seconds(limit: Mapping[str, Any], place: str) -> float:
    """Return a duration; 0 if there is none.  Raises ConfigurationError, with `place`."""
    try:
        return sum(float(limit.get(unit) or 0) * factor for unit, factor in _UNITS.items())
    except ValueError as error:
        raise ConfigurationError(
            f"{place}: expected numbers of {', '.join(_UNITS)}", hint="correct it there"
        ) from error


def _dialogue(
    parameters: Mapping[str, Any], constants: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield the keys for U-Boot's prompt and for the way to it."""
    if prompt := parameters.get("bootloader_prompt"):
        yield "bootloader_prompt", prompt
    if message := parameters.get("interrupt_prompt", constants.get("interrupt-prompt")):
        yield "interrupt_boot_prompt", message
    letters = parameters.get("interrupt_ctrl_list", constants.get("interrupt_ctrl_list"))
    key = parameters.get("interrupt_char", constants.get("interrupt-character"))
    if letters:
        yield "interrupt_boot_control_character", "".join(letters)
    elif key:
        yield "interrupt_boot_command", f'"{key}"' if key.isspace() else key
        if str(constants.get("interrupt-newline", True)).lower() not in _FALSE:
            yield "interrupt_boot_newline", "yes"
    if str(parameters.get("needs_interrupt", True)).lower() in _FALSE:
        yield "needs_interrupt", "no"


def _files(document: Mapping[str, Any], header: str | None) -> Iterator[tuple[str, str]]:
    """Yield the keys for the load addresses and the formats of kernel and ramdisk."""
    addresses = part(document, "parameters")
    found = {word: part(addresses, word) for word in _ADDRESSES if part(addresses, word)}
    for word, parts in found.items():
        names = ("kernel", "ramdisk", "dtb", "dtbo")
        yield _ADDRESSES[word], "\n".join(parts[name] for name in names if name in parts)
    if list(found) == ["bootm"]:
        yield "uimage_only", "yes"
    if room := addresses.get("dtb_base_resize"):
        yield "dtb_base_resize", room
    parameters = part(document, "actions", "boot", "methods", "u-boot", "parameters")
    if apply := parameters.get("apply_dtbo_commands"):
        yield "apply_dtbo_cmds", commands.format_list(apply)
    if offset := addresses.get("text_offset"):
        yield "text_offset", offset
    given = part(document, "actions", "deploy", "parameters")
    yield "ramdisk_raw", "no" if header == "u-boot" else "yes"
    for name, key in (
        ("mkimage_arch", "uimage_arch"),
        ("append_dtb", "append_dtb"),
        ("use_xip", "uimage_xip"),
    ):
        if value := given.get(name):
            yield key, value


def _translated(lines: Sequence[str], header: str | None, mac: str | None) -> Iterator[str]:
    """Yield LAVA's boot commands with the configuration's tags.

    A ramdisk without U-Boot's header needs its size in the boot command.  LAVA gives U-Boot no
    ramdisk if the dictionary has neither kind.
    """
    same = dict(_SAME)
    size = ":${initrd_size}" if header == "raw" else ""
    if header not in ("raw", "u-boot"):
        same["{RAMDISK_ADDR}"] = "-"
    same["{BOOTX}"] = f"{{BOOTCOMMAND}} {{KERNEL_ADDR}} {same['{RAMDISK_ADDR}']}{size} {{DTB_ADDR}}"
    if mac:
        same["{LAVA_MAC}"] = mac
    tags = re.compile("|".join(map(re.escape, same)))
    for line in lines:
        translated = tags.sub(lambda tag: same[tag[0]], line)
        if not _ABSENT.search(translated):
            yield translated
