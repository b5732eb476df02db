# SPDX-License-Identifier: MIT
"""The examples, one folder each, as their readers run them."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.lab import ROOT, Ended, Lab

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


def run_example(lab: Lab, example: str) -> Ended:
    """Run an example; every node completes, with exactly its test cases, and leaves nothing."""
    job = ROOT / "examples" / example / "job.json"
    ended = lab.run(job if lab.board.exists() else without_deployment(job, lab.folder))

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
