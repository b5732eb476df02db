# SPDX-License-Identifier: MIT
"""All device types of Debian's newest LAVA, rendered and judged by LAVA's own code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from lava_vmgroup import boards
from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.cli.dispatch import main
from lava_vmgroup.config import files
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dictionary.loading import load_device
from lava_vmgroup.deploy.tftp import Served
from tests.support.lava_v2 import DEVICE_TYPES, asked, device, render

WORDS = {"uimage": ("bootm", "u"), "zimage": ("bootz", "z"), "image": ("booti", "i")}
FILES = ("kernel", "ramdisk", "dtb")
OVERLAYS = ("dtbo0", "dtbo1")

DEVICE: dict[str, Any] = {
    "connection_list": ["uart0"],
    "connection_commands": {"uart0": "telnet localhost 7001"},
    "connection_tags": {"uart0": ["primary", "telnet"]},
    "hard_reset_command": ["pdu off", "pdu on"],
    "power_off_command": "pdu off",
    "power_on_command": "pdu on",
}


def test_device_types_of_lava_load_or_are_refused_and_boot_by_lavas_commands(
    tmp_path: Path,
) -> None:
    types = sorted(path.stem for path in DEVICE_TYPES.glob("*.jinja2"))
    render(
        {
            tmp_path / f"{name}.yaml": device(name, **DEVICE, enable_dtbo_support=bool(number % 2))
            for number, name in enumerate(types)
        }
    )
    rendered = sorted(tmp_path.glob("*.yaml"))
    loaded, refused = all_loaded(rendered)

    assert len(loaded) >= 450
    for path, message in refused.items():
        methods = yaml.safe_load(path.read_text(encoding="utf-8")).get("actions", {}).get("boot")
        names = methods["methods"] if methods else {"actions: missing": None}
        assert all(name in message for name in names), message

    for path, config in [*loaded.items()][::25]:
        assert_converts(path, config, tmp_path / path.stem)

    cases = {case: text for path, config in loaded.items() for case, text in ours(path, config)}
    theirs = asked({"cases": [json.loads(case) for case in cases]})

    assert len({json.loads(case)[0] for case in cases}) >= 300
    for case, typed, wanted in zip(cases, cases.values(), theirs, strict=True):
        # U-Boot makes nothing of blanks at the end.
        assert typed == [line.strip() for line in wanted], case


def assert_converts(path: Path, config: DeviceConfig, folder: Path) -> None:
    """Assert that the files of ``devices convert`` are the same device."""
    assert main(["devices", "convert", str(path), str(folder)]) == 0
    converted = load_device(folder / "devices/board01.conf", files.search_path(folder))
    assert converted == replace(config, other_methods=())


def all_loaded(paths: list[Path]) -> tuple[dict[Path, DeviceConfig], dict[Path, str]]:
    """The configuration of each dictionary that has a driver, and the errors of the others."""
    loaded, refused = {}, {}
    for path in paths:
        try:
            loaded[path] = load_device(path, files.search_path()[:1])
            boards.driver_class(loaded[path])
        except ConfigurationError as error:
            refused[path] = error.message
    return loaded, refused


def ours(path: Path, config: DeviceConfig) -> Iterator[tuple[str, list[str]]]:
    """Our boot commands for each kind of kernel that the device has load addresses for."""
    for (kernel, (word, letter)), kind, few in product(
        WORDS.items(), ("ramdisk", "nfs"), (True, False)
    ):
        typed = config.boot_commands(f"boot_cmds_{kind}")
        if not typed or getattr(config, f"{letter}_load_addrs") is None:
            continue
        takes_overlays = "{APPLY_DTBO_COMMANDS}" in [one.text for one in typed]
        names = FILES[:1] if few else (*FILES, *(OVERLAYS if takes_overlays else ()))
        offered = {name: f"1/{name}" for name in names}
        if kind == "nfs":
            offered["nfsrootfs"] = "/srv/1/nfsrootfs"
        overlays = tuple(offered[name] for name in names if name in OVERLAYS)
        others: Any = {name: file for name, file in offered.items() if file not in overlays}
        served = Served(boot_word=word, dtbos=overlays, **others)
        filled = served.filled_in(typed, config, {"SERVER_IP": "10.0.0.1"})
        lines = [command.text for command in filled]
        yield json.dumps((str(path), kind, kernel, offered)), lines
