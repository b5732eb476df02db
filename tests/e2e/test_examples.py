# SPDX-License-Identifier: MIT
"""The examples, one folder each, as their readers run them.

Jobs that do not test the board's boot share a board that is up.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import UpLab
from tests.support.lab import IMAGES, ROOT, Ended, Lab

PASSED = {
    "two-roles": {
        "host": {"one-server", "two-workers"},
        "server": {"heard-two-workers"},
        "worker": {"worked", "greeted"},
    },
    "host-starts-vms": {
        "host": {"no-vm-before", "vm-runs", "no-vm-after"},
        "guest": {"guest"},
    },
    "after-the-vms": {
        "host": {
            "host",
            "no-qemu-left",
            "no-vm-folder-left",
            "same-disk",
            "was-rebooted",
            "no-job-folder-left",
        },
        "guest": {"guest"},
    },
    "launch-with": {
        "host": set(),
        "extended": {"has-scratch-disk"},
        "bare": {"one-disk", "no-network-card"},
    },
    "client-server": {
        "host": {"host-reaches-server", "host-reaches-client", "host-reaches-observer"},
        "server": {"serves"},
        "client": {"received", "throughput"},
        "observer": {
            "is-32-bit",
            "observer-reaches-server",
            "observer-reaches-client",
            "knows-all-hosts",
        },
    },
    "kernel-and-ramdisk": {"host": set(), "guest": {"root-is-the-ramdisk", "kernel-heard-the-job"}},
}
"""The test cases of each role, all of which pass."""


def run(lab: Lab, example: str) -> Ended:
    """Run an example; every node completes, with exactly its test cases, and leaves nothing."""
    job = ROOT / "examples" / example / "job.json"
    ended = lab.run(without_deployment(job, lab.folder) if isinstance(lab, UpLab) else job)

    assert ended.status == 0, ended.stderr
    for node in ended.results["nodes"]:
        assert node["state"] == "Complete"
        cases = [case for run in node["runs"] for case in run["cases"]]
        assert {case["name"] for case in cases} == PASSED[example][node["role"]]
        assert {case["result"] for case in cases} <= {"pass"}
    assert lab.traces() == []
    return ended


def without_deployment(job: Path, folder: Path) -> Path:
    """Copy an example to `folder`, without the action that puts the host's image on the board."""
    examples = folder / "examples"
    shutil.copytree(job.parent, examples / job.parent.name)
    (examples / "emulated-board").symlink_to(ROOT / "examples/emulated-board")
    content = json.loads(job.read_text())
    deploy, *others = content["actions"]
    assert (deploy["command"], deploy["parameters"]["role"]) == ("deploy_linaro_image", "host")
    copy = examples / job.parent.name / job.name
    copy.write_text(json.dumps({**content, "actions": others}))
    return copy


def nodes_of(ended: Ended, role: str) -> list[Mapping[str, Any]]:
    return [node for node in ended.results["nodes"] if node["role"] == role]


def test_two_roles_share_one_upload(up_lab: UpLab) -> None:
    up_lab.on_board("rm -rf /lava-vm-images")

    ended = run(up_lab, "two-roles")

    workers, (server,) = nodes_of(ended, "worker"), nodes_of(ended, "server")
    assert len(workers) == 2
    size = (IMAGES / "vm-arm64.img").stat().st_size
    (disk,) = (upload for upload in ended.results["uploads"] if upload["size"] == size)
    assert sorted(disk["used_by"]) == sorted(node["name"] for node in [server, *workers])
    assert 0 < disk["bytes_sent"] < size  # once, and without the image's holes


def test_host_is_rebooted_after_the_vms(lab: Lab) -> None:
    run(lab, "after-the-vms")


@pytest.mark.parametrize("example", ["host-starts-vms", "kernel-and-ramdisk"])
def test_example_passes(up_lab: UpLab, example: str) -> None:
    run(up_lab, example)


def test_launch_with_and_shell_prompt(up_lab: UpLab) -> None:
    # Nothing but the job's own shell_prompt finds the prompt.
    types = up_lab.config / "device-types/kvm-aarch64.conf"
    types.write_text('test_image_prompts = ["never shown"]\n')

    ended = run(up_lab, "launch-with")

    (bare,) = nodes_of(ended, "bare")
    assert "group_ip" not in bare["attributes"]


def test_measured_throughput_between_vms_of_three_kinds(up_lab: UpLab) -> None:
    ended = run(up_lab, "client-server")

    kinds = {node["device_type"] for node in ended.results["nodes"] if not node["is_host"]}
    assert kinds == {"kvm-arm", "kvm-aarch64", "kvm-aarch32"}
    (client,) = nodes_of(ended, "client")
    cases = {case["name"]: case for run in client["runs"] for case in run["cases"]}
    assert cases["received"]["measurement"] == str(2 << 20)
    assert cases["throughput"]["units"] == "MiB/s"
    assert re.fullmatch(r"\d+\.\d\d", cases["throughput"]["measurement"])
    assert (
        f'"measurement": "{cases["throughput"]["measurement"]}"'
        in (ended.output / "bundle.json").read_text()
    )
