# SPDX-License-Identifier: MIT
"""A board whose disk nobody else can write: its master image does."""

import os

from tests.e2e.test_vm_group import HELLO, group
from tests.support.lab import IMAGES, Lab

LOGIN = {"login_prompt": "board login:", "username": "root"}


def give_master_image(lab: Lab) -> None:
    """The device as a lab describes such a board; its disk is blank and bigger than the image."""
    size = (IMAGES / "host.img").stat().st_size
    os.truncate(lab.board / "sdcard.img", size + (100 << 20))
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
    give_master_image(lab)
    # Nothing but the job's own login_prompt finds the login of the system.
    kind = lab.board / "config/device-types/emulated-arm64.conf"
    kind.write_text(kind.read_text().replace("login_prompt = login:", "login_prompt = never shown"))
    job = group({"role": "guest"})
    host, shell = job["actions"]
    host["parameters"] |= LOGIN
    shell["parameters"]["role"] = "host"

    ended = lab.run(lab.write_job(job, HELLO))

    assert ended.status == 0, ended.stderr
    (host,) = (node for node in ended.results["nodes"] if node["is_host"])
    assert [case["result"] for run in host["runs"] for case in run["cases"]] == ["pass"]
    console = ended.console("board01")
    assert console.index("root@master:") < console.index("board login:")
    size = (IMAGES / "host.img").stat().st_size
    sent = next(event["sent"] for event in ended.events if event["kind"] == "disk")
    assert 0 < sent < size / 2  # without the image's holes
    assert list((lab.board / "tftp").iterdir()) == []
    assert lab.traces() == []
