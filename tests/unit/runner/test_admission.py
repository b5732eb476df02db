# SPDX-License-Identifier: MIT
"""A job is valid only if something can boot its host."""

import json
from pathlib import Path

import pytest

from lava_vmgroup.cli.dispatch import main

LAUNCHED = {
    "device_type": "kvm-arm",
    "role": "guest",
    "launch_with": "true",
}


def validate(folder: Path, config: str, device: str = "") -> int:
    """The exit status of ``--validate`` for a job whose host has this type."""
    types, devices = folder / "config/device-types", folder / "config/devices"
    for made in (types, devices):
        made.mkdir(parents=True)
    (types / "board.conf").write_text(config)
    if device:
        (devices / "board01.conf").write_text(f"device_type = board\n{device}")
    job = folder / "job.json"
    document = {
        "timeout": 60,
        "vm_group": {"host": {"device_type": "board"}, "vms": [LAUNCHED]},
        "actions": [{"command": "boot_linaro_image", "parameters": {"role": "guest"}}],
    }
    job.write_text(json.dumps(document))
    return main(["--validate", "--config-dir", str(folder / "config"), str(job)])


@pytest.mark.parametrize(
    "kind", ["fastboot", "fastmodel", "qemu", "jtag", "lxc", "ipmi_tftp", "dynamic_vm", "dummy"]
)
def test_host_type_without_a_driver_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert validate(tmp_path, f"client_type = {kind}\n") == 3
    assert "no driver for" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["bootloader", "master", "vexpress", "ssh"])
def test_host_type_with_a_driver_is_valid(tmp_path: Path, kind: str) -> None:
    assert validate(tmp_path, f"client_type = {kind}\n") == 0


def test_device_that_names_its_driver_itself_is_valid(tmp_path: Path) -> None:
    assert validate(tmp_path, "client_type = fastboot\n", "client_type = bootloader\n") == 0


def test_board_with_firmware_in_one_archive_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    juno = "client_type = vexpress\nvexpress_complete_firmware = True\n"

    assert validate(tmp_path, juno) == 3
    assert "vexpress_complete_firmware is set" in capsys.readouterr().err
