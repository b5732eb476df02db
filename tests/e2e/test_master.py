# SPDX-License-Identifier: MIT
"""A board whose disk nobody else can write: its master image does."""

import os
import subprocess
from pathlib import Path

from tests.e2e.test_vm_group import HELLO, group
from tests.support.lab import IMAGES, Lab

LOGIN = {"login_prompt": "board login:", "username": "root"}
PARTITION_AT = 1 << 20
SIZE_MIB = 400


def small_host_image(folder: Path) -> Path:
    """The host's image without QEMU and with less room, as writing an image takes a while."""
    root, image = folder / "root.img", folder / "small.img"
    tool("e2image", "-ra", "-o", PARTITION_AT, IMAGES / "host.img", root)
    for program in ("qemu-system-aarch64", "qemu-system-arm", "qemu-storage-daemon"):
        tool("debugfs", "-w", "-R", f"rm /usr/bin/{program}", root)
    tool("resize2fs", "-f", root, f"{SIZE_MIB}M")
    tool("e2image", "-ra", "-O", PARTITION_AT, root, image)
    os.truncate(image, PARTITION_AT + (SIZE_MIB << 20))
    tool("sfdisk", "-q", image, told="2048,\n")
    return image


def tool(name: str, *words: object, told: str = "") -> None:
    command = [f"/usr/sbin/{name}", *map(str, words)]
    subprocess.run(command, check=True, input=told, text=True, capture_output=True)


def give_master_image(lab: Lab, image: Path) -> None:
    """The device as a lab describes such a board; its disk is blank and bigger than the image."""
    os.truncate(lab.board / "sdcard.img", image.stat().st_size + (100 << 20))
    path = lab.board / "config/devices/board01.conf"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("media_device")]
    lines += [
        "client_type = master",
        f"master_kernel = {IMAGES / 'kernel'}",
        f"master_ramdisk = {IMAGES / 'master-ramdisk'}",
        "master_testdisk = /dev/vda",
    ]
    path.write_text("\n".join(lines) + "\n")


def test_master_image_writes_the_disk_that_is_then_booted(lab: Lab) -> None:
    image = small_host_image(lab.folder)
    give_master_image(lab, image)
    # Nothing but the job's own login_prompt finds the login of the system.
    kind = lab.board / "config/device-types/emulated-arm64.conf"
    kind.write_text(kind.read_text().replace("login_prompt = login:", "login_prompt = never shown"))
    job = group({"role": "guest"})
    del job["vm_group"]["vms"][0]["image"]  # nothing is to be sent to the host
    host, shell = job["actions"]
    host["parameters"] |= {"image": str(image), **LOGIN}
    shell["parameters"]["role"] = "host"

    ended = lab.run(lab.write_job(job, HELLO))

    assert ended.status == 0, ended.stderr
    (host,) = (node for node in ended.results["nodes"] if node["is_host"])
    assert [case["result"] for run in host["runs"] for case in run["cases"]] == ["pass"]
    console = ended.console("board01")
    assert console.index("root@master:") < console.index("board login:")
    sent = next(event["sent"] for event in ended.events if event["kind"] == "disk")
    assert 0 < sent < image.stat().st_size / 2  # without the image's holes
    assert list((lab.board / "tftp").iterdir()) == []
    assert lab.traces() == []
