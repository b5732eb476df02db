# SPDX-License-Identifier: MIT
"""What a job says of its systems reaches them: the host's login, a VM's firmware and kernel."""

from pathlib import Path

from tests.e2e.test_vm_group import group
from tests.support.lab import IMAGES, Lab

FIRMWARE = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")

CMDLINE = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: cmdline, description: shows it}
run:
  steps:
    - lava-test-case said-by-job --shell grep -q said=by-job /proc/cmdline
"""


def test_settings_of_the_job_reach_host_and_vms(lab: Lab) -> None:
    types = lab.board / "config/device-types/emulated-arm64.conf"
    types.write_text(
        types.read_text().replace("login_prompt = login:", "login_prompt = never shown")
    )
    job = group(
        {"role": "by-firmware", "device_type": "kvm-aarch64"},
        {"role": "by-kernel", "device_type": "kvm-aarch64"},
    )
    for vm in job["vm_group"]["vms"]:
        del vm["image"]
    host, shell = job["actions"]
    host["parameters"] |= {"login_prompt": "board login:", "username": "root"}
    shell["parameters"]["role"] = "by-kernel"
    disk = str(IMAGES / "vm-arm64.img")
    files = {"kernel": str(IMAGES / "kernel"), "ramdisk": str(IMAGES / "ramdisk")}
    arguments = ["console=ttyAMA0", "said=by-job"]
    job["actions"] = [
        host,
        {
            "command": "deploy_linaro_kernel",
            "parameters": {"rootfs": disk, "firmware": str(FIRMWARE), "role": "by-firmware"},
        },
        {"command": "boot_linaro_image", "parameters": {"role": "by-firmware"}},
        {"command": "deploy_linaro_kernel", "parameters": {**files, "role": "by-kernel"}},
        {
            "command": "boot_linaro_image",
            "parameters": {"boot_cmds": arguments, "role": "by-kernel"},
        },
        shell,
    ]

    ended = lab.run(lab.write_job(job, CMDLINE))

    assert ended.status == 0, ended.stderr
    nodes = {node["role"]: node for node in ended.results["nodes"]}
    cases = nodes["by-kernel"]["runs"][0]["cases"]
    assert [(case["name"], case["result"]) for case in cases] == [("said-by-job", "pass")]
    assert "U-Boot 20" in ended.console(nodes["by-firmware"]["name"])
