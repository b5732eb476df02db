# SPDX-License-Identifier: MIT
"""Refusals of the deploy and boot actions, before any device is touched."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup import actions
from lava_vmgroup.job.parse import parse_job

FILES = ("Image", "initrd", "disk", "code.fd", "board.dtb")


def job_of(*job_actions: Mapping[str, Any]) -> dict[str, Any]:
    """A group of two with these actions."""
    return {
        "timeout": 60,
        "vm_group": {
            "host": {"device_type": "arndale"},
            "vms": [{"device_type": "kvm-arm", "role": "guest"}],
        },
        "actions": list(job_actions),
    }


def problems(folder: Path, command: str, **parameters: Any) -> list[str]:
    """Return the problems of one action, without their place."""
    for name in FILES:
        (folder / name).write_bytes(bytes(512))
    document = job_of({"command": command, "parameters": parameters})
    job = parse_job(document, folder, actions.parameter_schemas())
    prefix = "actions[0].parameters."
    return [problem.removeprefix(prefix) for problem in actions.file_problems(job)]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"ramdisk": "initrd"}, "kernel: missing; a virtual machine needs a kernel, a firmware"),
        ({"kernel": "Image"}, "rootfs: missing; a virtual machine needs a rootfs or a ramdisk"),
        (
            {"ramdisk": "initrd", "firmware": "code.fd", "qemu_pflash": ["code.fd"]},
            "firmware: qemu_pflash holds the firmware already",
        ),
        (
            {"kernel": "Image", "ramdisk": "initrd", "bootloadertype": "uefi"},
            "bootloadertype: uefi needs firmware or qemu_pflash",
        ),
        ({"kernel": "Image", "ramdisk": "initrd", "bl1": "disk"}, "bl1: only a host takes it"),
        (
            {"rootfs": "disk", "qemu_pflash": ["code.fd", "gone.fd"]},
            "qemu_pflash[1]: cannot read",
        ),
    ],
)
def test_kernel_of_a_vm_that_does_not_fit_is_refused(
    tmp_path: Path, parameters: dict[str, Any], expected: str
) -> None:
    (found,) = problems(tmp_path, "deploy_linaro_kernel", role="guest", **parameters)

    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"ramdisk": "initrd"}, "kernel: missing; the host needs it"),
        ({"kernel": "Image", "rootfs": "disk"}, "rootfs: only virtual machines"),
        ({"kernel": "Image", "firmware": "code.fd"}, "firmware: only virtual machines"),
        ({"kernel": "Image", "dtbo": ["board.dtb"]}, "dtbo: overlays of the device tree need one"),
        ({"kernel": "Image", "dtb": "board.dtb", "dtbo": ["no"]}, "dtbo[0]: "),
        ({"kernel": "Image", "qemu_pflash": ["code.fd"]}, "qemu_pflash: only virtual machines"),
    ],
)
def test_kernel_of_a_host_that_does_not_fit_is_refused(
    tmp_path: Path, parameters: dict[str, Any], expected: str
) -> None:
    (found,) = problems(tmp_path, "deploy_linaro_kernel", role="host", **parameters)

    assert found.startswith(expected)


@pytest.mark.parametrize(
    "parameters",
    [
        {"role": "guest", "ramdisk": "initrd", "firmware": "code.fd", "bootloadertype": "uefi"},
        {"role": "guest", "kernel": "Image", "rootfs": "disk", "target_type": "oe"},
        {"role": "host", "kernel": "Image", "nfsrootfs": "disk", "dtb": "board.dtb"},
        {"role": "host", "kernel": "Image", "dtb": "board.dtb", "dtbo": ["board.dtb"]},
        {"kernel": "Image", "ramdisk": "initrd", "login_prompt": "login:", "username": "root"},
    ],
)
def test_files_that_go_together_are_accepted(tmp_path: Path, parameters: dict[str, Any]) -> None:
    assert problems(tmp_path, "deploy_linaro_kernel", **parameters) == []


def test_flash_and_device_tree_beside_an_image(tmp_path: Path) -> None:
    parameters = {"image": "disk", "qemu_pflash": ["code.fd"]}

    assert problems(tmp_path, "deploy_linaro_image", role="guest", **parameters) == []
    (flash,) = problems(tmp_path, "deploy_linaro_image", **parameters)
    assert flash.startswith("qemu_pflash: only virtual machines have it")
    (dtb,) = problems(tmp_path, "deploy_linaro_image", image="disk", dtb="board.dtb")
    assert dtb.startswith("dtb: an image brings its own device tree")


def test_boot_commands_for_a_boot_loader_are_read(tmp_path: Path) -> None:
    deploy = {"command": "deploy_linaro_image", "parameters": {"image": "disk"}}
    (tmp_path / "disk").write_bytes(bytes(512))

    def problems_for(role: str) -> list[str]:
        parameters = {"boot_cmds": ["sendcontrol"], "role": role}
        document = job_of(deploy, {"command": "boot_linaro_image", "parameters": parameters})
        job = parse_job(document, tmp_path, actions.parameter_schemas())
        return list(actions.file_problems(job))

    (problem,) = problems_for("host")
    assert "does not name one control character" in problem
    assert problems_for("guest") == []
