# SPDX-License-Identifier: MIT
"""A job's overlays of the device tree, and the boot loader's way with them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.boards.bootloader import Driver
from lava_vmgroup.config.boot_keys import LoadAddresses
from lava_vmgroup.deploy.tftp import KernelFiles
from tests.unit.boards.played_console import log, soon


def test_overlays_of_the_device_tree_are_applied_in_their_order(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    lines = "fdt addr {DTB_BASE_ADDR}, fdt resize {DTB_BASE_RESIZE}, {APPLY_DTBO_COMMANDS}"
    addresses = LoadAddresses(kernel="0x1", ramdisk="0x2", dtb="0x3", dtbo="0x4")
    driver = lab("overlays", boot_cmds=lines, z_load_addrs=addresses, dtb_base_resize="0x400")

    driver.deploy_kernel(KernelFiles(kernel=file, dtb=file, dtbos=(file, file)), soon())
    offered = sorted(path.name for path in (tmp_path / "tftp/job-1").iterdir())
    driver.boot(soon())
    driver.close()

    assert offered == ["dtb", "dtbo0", "dtbo1", "kernel"]
    assert re.findall(r"echoed: (.*)", log(tmp_path)) == [
        "fdt addr 0x3",
        "fdt resize 0x400",
        "tftp 0x4 job-1/dtbo0",
        "fdt apply 0x4",
        "tftp 0x4 job-1/dtbo1",
        "fdt apply 0x4",
    ]
    assert list((tmp_path / "tftp").iterdir()) == []


def test_overlays_without_a_load_address_are_refused(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    addresses = LoadAddresses(kernel="0x1", ramdisk="0x2", dtb="0x3")
    driver = lab("fine", boot_cmds="{APPLY_DTBO_COMMANDS}", z_load_addrs=addresses)

    driver.deploy_kernel(KernelFiles(kernel=file, dtb=file, dtbos=(file,)), soon())

    with pytest.raises(ConfigurationError, match="no load address for overlays"):
        driver.boot(soon())


def test_overlays_that_nothing_applies_are_refused(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    driver = lab("fine")

    driver.deploy_kernel(KernelFiles(kernel=file, dtb=file, dtbos=(file,)), soon())

    with pytest.raises(ConfigurationError, match="applies no overlays of the device tree"):
        driver.boot(soon())
