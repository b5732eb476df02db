# SPDX-License-Identifier: MIT
"""Reading of LAVA v1's VM types, which describe a VM by one line of QEMU's options.

Here memory, CPUs and machine have keys of their own, because the host is compared with them, and
networks, disks and the accelerator are not configured by options at all.  So v1's options become
keys or are dropped.  Options that contradict this are refused when the file is read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.group_keys import QemuArch

_IS_V1 = "-nographic"  # in each of v1's files; here it would take the console away
_FLAGS = frozenset({_IS_V1, "-enable-kvm", "-no-reboot", "-show-cursor", "-nodefaults"})
_CHOSEN = frozenset({"-realtime", "-clock", "-accel", "-hda"})
"""Options with a value that are dropped: the value is chosen here, or QEMU lost the option."""
_OF_JOBS = frozenset({"-kernel", "-append", "-initrd", "-dtb"})
_NETWORKS = ("nic", "user", "none")
_OLD_CARD = re.compile(r"virtio-net.*,vlan=")
_MEMORY = re.compile(r"(?:size=)?(\d+)([MG]?)B?(?:,.*)?", re.IGNORECASE)
_CPUS = re.compile(r"(?:.*\bcpus=)?(\d+)(?:,.*)?")
_DISK = "{DISK_IMAGE}"

_ARCHITECTURES = {
    "qemu-system-arm": QemuArch.AARCH32,
    "qemu-system-aarch64": QemuArch.AARCH64,
    "qemu-system-x86_64": QemuArch.X86_64,
}


def understood(config: DeviceConfig) -> DeviceConfig:
    """Return a VM's configuration with the settings among QEMU's options moved to their keys.

    Raises `ConfigurationError`, naming file and key, for options that cannot be kept.
    """
    options = list(config.qemu_options)
    binary = _binary(config)
    if _IS_V1 in options:
        binary = binary | _v1_architecture(config, str(binary["qemu_binary"]))
    settings: dict[str, Any] = {}
    rest: list[str] = []
    for option, value in _pairs(options):
        found = _setting(option, value, config)
        if found is None:
            rest += [option] if value is None else [option, value]
        else:
            settings |= found
    return replace(config, **binary, **settings, qemu_options=tuple(rest))


def _pairs(words: list[str]) -> Iterator[tuple[str, str | None]]:
    """Yield QEMU's options with their values."""
    position = 0
    while position < len(words):
        option, position = words[position], position + 1
        value = None
        if option not in _FLAGS and position < len(words) and not words[position].startswith("-"):
            value, position = words[position], position + 1
        yield option, value


def _setting(option: str, value: str | None, config: DeviceConfig) -> dict[str, Any] | None:
    """Return the settings that replace an option, which may be none; None to keep the option."""
    option = re.sub("^--", "-", option)
    if option in _OF_JOBS or (_DISK in (value or "") and option != "-hda"):
        raise _refused(option, value, config, "leave it out: the job decides on this")
    if option in _FLAGS or option in _CHOSEN:
        return {}
    if option == "-device" and _OLD_CARD.match(value or ""):
        return {}
    if option == "-net":
        if (value or "").split(",")[0] not in _NETWORKS:
            raise _refused(option, value, config, "set qemu_networks instead")
        return {}
    return _keyed(option, value or "", config)


def _keyed(option: str, value: str, config: DeviceConfig) -> dict[str, Any] | None:
    """Return the settings of an option that has a key here; None for any other option."""
    if option == "-m":
        if (found := _MEMORY.fullmatch(value)) is None:
            raise _refused(option, value, config, "set qemu_memory to a number of MiB instead")
        return {"qemu_memory": int(found[1]) * (1024 if found[2].upper() == "G" else 1)}
    if option == "-smp":
        if (found := _CPUS.fullmatch(value)) is None:
            raise _refused(option, value, config, "set qemu_smp to a number of CPUs instead")
        return {"qemu_smp": int(found[1])}
    if option == "-cpu":
        return {} if value.split(",")[0] == "host" else {"qemu_cpu": value}
    if option in ("-M", "-machine"):
        return _machine(value)
    return None


def _machine(value: str) -> dict[str, Any]:
    parts = [part.removeprefix("type=") for part in value.split(",")]
    kept = [part for part in parts if not part.startswith("accel=") and part != "usb=off"]
    return {"qemu_machine": ",".join(kept)} if kept and "=" not in kept[0] else {}


def _binary(config: DeviceConfig) -> dict[str, Any]:
    """Return the program, and the host's CPUs if ``taskset`` starts it."""
    try:
        words = shlex.split(config.qemu_binary)
    except ValueError:
        words = []
    match words:
        case [] if not config.qemu_binary:
            return {"qemu_binary": ""}
        case [program]:
            return {"qemu_binary": program}
        case ["taskset", "-c", cpus, program]:
            return {"qemu_binary": program, "qemu_host_cpus": config.qemu_host_cpus or (cpus,)}
    raise ConfigurationError(
        f"{config.place('qemu_binary')} = {config.qemu_binary!r}: "
        "expected a program, or taskset -c CPUS PROGRAM",
        hint="correct it there; the program runs on the host",
    )


def _v1_architecture(config: DeviceConfig, binary: str) -> dict[str, Any]:
    """Return the architecture that the name of v1's program means, without that program.

    The program is chosen on the host.  Settings of the file override the name's architecture.
    """
    architecture = _ARCHITECTURES.get(binary)
    if architecture is None:
        return {}
    if "qemu_arch" in config.sources:
        architecture = config.qemu_arch
    elif any("aarch64=off" in word for word in config.qemu_options):
        architecture = QemuArch.AARCH32
    return {"qemu_binary": "", "qemu_arch": architecture}


def _refused(option: str, value: str | None, config: DeviceConfig, hint: str) -> ConfigurationError:
    shown = option if value is None else f"{option} {value}"
    return ConfigurationError(
        f"{config.place('qemu_options')}: {shown!r} cannot be kept", hint=hint
    )
