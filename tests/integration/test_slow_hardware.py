# SPDX-License-Identifier: MIT
"""Limits on slow hardware, as ``timeout_scale`` says it, in whole jobs."""

from pathlib import Path

import pytest

from tests.integration.test_whole_jobs import HEAD
from tests.support.local_lab import entry, shell_action, write_job
from tests.support.played_board import TYPE, board_lab
from tests.support.sshd import Server


@pytest.mark.parametrize("slow", [TYPE, "kvm-aarch64"])
def test_limits_are_longer_but_for_those_of_the_author(
    tmp_path: Path, sshd: Server, slow: str
) -> None:
    action = shell_action("hello.yaml", "guest")
    action["parameters"]["timeout"] = 1
    document = {
        "timeout": 60,
        "vm_group": {"host": {"device_type": TYPE}, "vms": [entry("guest")]},
        "actions": [action],
    }
    limits = {"interrupt_boot_prompt": "never seen", "bootloader_timeout": "2.5"}
    with board_lab(tmp_path, sshd, **limits) as lab:
        with (lab.config / f"device-types/{slow}.conf").open("a") as file:
            file.write("timeout_scale = 2\n")

        ended = lab.run(write_job(lab, document, hello=f"{HEAD}run: {{steps: [':']}}\n"))

    assert ended.status == 5, ended.stderr
    host, guest = (node["error"]["message"] for node in ended.results["nodes"])
    assert host.startswith("timed out: the boot loader's autoboot message, limit 5 s; last seen: ")
    assert "'lava_vm_start', within lava_test_shell, limit 1 s" in guest
