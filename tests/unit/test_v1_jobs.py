# SPDX-License-Identifier: MIT
"""Jobs in the forms that LAVA v1 took are valid as they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.cli.dispatch import main

SERVER = "http://images.example.org"
HOST_STARTS_THREE_KINDS: dict[str, Any] = {
    "timeout": 18000,
    "job_name": "kernels for all",
    "logging_level": "DEBUG",
    "vm_group": {
        "host": {"device_type": "arndale", "role": "host"},
        "auto_start_vms": False,
        "vms": [
            {"device_type": "kvm-aarch32", "role": "small"},
            {"device_type": "kvm-aarch64", "role": "firmware"},
            {"device_type": "kvm-aarch64", "role": "disk", "count": 1, "tags": ["big"]},
        ],
    },
    "actions": [
        {
            "command": "deploy_linaro_kernel",
            "parameters": {
                "dtb": f"{SERVER}/board.dtb",
                "kernel": f"{SERVER}/zImage",
                "nfsrootfs": f"{SERVER}/root.tar.gz",
                "target_type": "ubuntu",
                "role": "host",
            },
        },
        *(
            {"command": "deploy_linaro_kernel", "parameters": {**files, "role": role}}
            for role, files in {
                "small": {"kernel": f"{SERVER}/zImage", "ramdisk": f"{SERVER}/ramdisk.gz"},
                "firmware": {"firmware": f"{SERVER}/efi", "rootfs": f"{SERVER}/disk.img.gz"},
                "disk": {"kernel": f"{SERVER}/Image", "rootfs": f"{SERVER}/disk.img.gz"},
            }.items()
        ),
        {
            "command": "lava_test_shell",
            "parameters": {
                "testdef_repos": [
                    {"git-repo": "git://git.example.org/tests.git", "testdef": "host/smoke.yaml"}
                ],
                "timeout": 1800,
                "role": "host",
            },
        },
        {
            "command": "submit_results_on_host",
            "parameters": {"server": f"{SERVER}/RPC2/", "stream": "/anonymous/vms/"},
        },
    ],
}
IMAGES_AND_REPEAT: dict[str, Any] = {
    "timeout": 18000,
    "priority": "High",
    "notify": ["somebody@example.org"],
    "vm_group": {
        "host": {"device_type": "arndale", "role": "host"},
        "vms": [{"device_type": "kvm", "role": "guest", "count": 2}],
    },
    "actions": [
        {
            "command": "deploy_linaro_image",
            "parameters": {
                "image": f"{SERVER}/host.img.gz",
                "login_prompt": "login:",
                "username": "root",
                "rootfstype": "ext4",
                "role": "host",
            },
        },
        {
            "command": "deploy_linaro_image",
            "parameters": {"image": f"{SERVER}/guest.img.bz2", "role": "guest"},
            "metadata": {"image.type": "ubuntu"},
        },
        {"command": "boot_linaro_image", "parameters": {"options": ["boot_method=image"]}},
        {
            "command": "lava_test_shell",
            "parameters": {"testdef_urls": [f"{SERVER}/a.yaml"], "repeat": 3, "timeout": 600},
        },
        {"command": "lava_command_run", "parameters": {"commands": ["uname -a"]}},
        {
            "command": "submit_results",
            "parameters": {"server": f"{SERVER}/RPC2/", "stream": "/anonymous/vms/"},
        },
    ],
}


@pytest.mark.parametrize("document", [HOST_STARTS_THREE_KINDS, IMAGES_AND_REPEAT])
def test_job_of_lava_v1_is_valid(
    tmp_path: Path, document: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps(document))

    status = main(["--validate", "--config-dir", str(tmp_path), str(job)])

    assert (status, capsys.readouterr().err) == (0, "")
