# SPDX-License-Identifier: MIT
"""What a job says of its systems reaches them: the host's login, a VM's firmware."""

from pathlib import Path

from tests.e2e.test_vm_group import HELLO, group
from tests.support.lab import IMAGES, Lab

FIRMWARE = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")


def test_settings_of_the_job_reach_host_and_vms(lab: Lab) -> None:
    types = lab.board / "config/device-types/emulated-arm64.conf"
    types.write_text(
        types.read_text().replace("login_prompt = login:", "login_prompt = never shown")
    )
    job = group({"role": "guest", "device_type": "kvm-aarch64"})
    del job["vm_group"]["vms"][0]["image"]
    host, shell = job["actions"]
    host["parameters"] |= {"login_prompt": "board login:", "username": "root"}
    shell["parameters"]["role"] = "host"
    files = {"rootfs": str(IMAGES / "vm-arm64.img"), "firmware": str(FIRMWARE)}
    job["actions"][1:1] = [
        {"command": "deploy_linaro_kernel", "parameters": {**files, "role": "guest"}},
        {"command": "boot_linaro_image", "parameters": {"role": "guest"}},
    ]

    ended = lab.run(lab.write_job(job, HELLO))

    assert ended.status == 0, ended.stderr
    (guest,) = (node for node in ended.results["nodes"] if node["role"] == "guest")
    assert "U-Boot 20" in ended.console(guest["name"])
