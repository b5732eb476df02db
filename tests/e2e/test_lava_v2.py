# SPDX-License-Identifier: MIT
"""The emulated board as a device of LAVA v2: its dictionary alone says how it boots."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from tests.e2e.test_panic import SHELL_OF_THE_HOST
from tests.e2e.test_vm_group import HELLO, group
from tests.support import lava_v2
from tests.support.lab import IMAGES, Lab

BOARD_IS_UP = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: up, description: from its card}
run:
  steps:
    - lava-test-case root-is-the-card --shell grep '^/dev/[^ ]* / ext4' /proc/mounts
"""


@pytest.fixture
def dictionary(lab: Lab) -> Path:
    """The dictionary of the lab's board, rendered by LAVA; it takes the place of other files."""
    conf = configparser.ConfigParser(interpolation=None)
    conf.read_string("[board]\n" + (lab.config / "devices/board01.conf").read_text())
    board = conf["board"]
    ours = {key: board[key] for key in ("media_device", "ssh_host", "ssh_port")}
    ours |= {"timeout_scale": "3", "test_image_prompts": '["root@board:", "root@ramdisk:"]'}
    text = lava_v2.device(
        "emulated-arm64",
        connection_list=["uart0"],
        connection_commands={"uart0": board["connection_command"]},
        connection_tags={"uart0": ["primary"]},
        hard_reset_command=board["hard_reset_command"],
        power_on_command=board["power_on_cmd"],
        power_off_command=board["power_off_cmd"],
        static_info=[{f"vmgroup_{key}": value for key, value in ours.items()}],
    )
    (lab.config / "devices/board01.conf").unlink()
    (lab.config / "device-types/emulated-arm64.conf").unlink()
    file = lab.folder / "board01.yaml"
    lava_v2.render({file: text})
    return file


def test_deployed_image_is_booted_by_the_boot_loader_alone(lab: Lab, dictionary: Path) -> None:
    job = group({"role": "guest", **SHELL_OF_THE_HOST})
    del job["vm_group"]["vms"][0]["image"]
    job["actions"][0]["parameters"] |= {"login_prompt": "login:", "username": "root"}

    ended = lab.finish(lab.start(lab.write_job(job, BOARD_IS_UP), "--device", str(dictionary)))

    assert ended.status == 0, ended.stderr
    assert [node["state"] for node in ended.results["nodes"]] == ["Complete"] * 2
    assert "=> " not in ended.console("board01")


def test_host_without_ssh_is_refused_with_the_reason(lab: Lab, dictionary: Path) -> None:
    job = group({"role": "guest"})
    job["actions"][0] = {
        "command": "deploy_linaro_kernel",
        "parameters": {
            "kernel": str(IMAGES / "kernel"),
            "ramdisk": str(IMAGES / "ramdisk"),
            "role": "host",
        },
    }

    ended = lab.finish(lab.start(lab.write_job(job, HELLO), "--device", str(dictionary)))

    assert ended.status == 4, ended.stderr
    assert "the host has no SSH server (install openssh-server in its image)" in ended.stderr
    console = ended.console("board01")
    assert console.index("tftp 0x44000000 ") < console.index("root@ramdisk:~# ")
    assert list((lab.board / "tftp").iterdir()) == []
