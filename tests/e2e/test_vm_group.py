# SPDX-License-Identifier: MIT
"""Whole jobs on the emulated board: a real U-Boot, a real Linux, real KVM guests."""

import json
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.support.lab import IMAGES, ROOT, Lab

HELLO = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: hello, description: says hello}
run:
  steps:
    - lava-test-case hello --shell true
"""


def group(*vms: Mapping[str, Any]) -> dict[str, Any]:
    """A job with these VMs, all of the 64-bit image."""
    image = str(IMAGES / "vm-arm64.img")
    return {
        "timeout": 1500,
        "vm_group": {
            "host": {"device_type": "emulated-arm64"},
            "vms": [{"device_type": "kvm-aarch64", "image": image, **vm} for vm in vms],
        },
        "actions": [
            {
                "command": "deploy_linaro_image",
                "parameters": {"image": str(IMAGES / "host.img"), "role": "host"},
            },
            {"command": "lava_test_shell", "parameters": {"testdef_urls": ["testdef.yaml"]}},
        ],
    }


def test_specification_example_passes(lab: Lab) -> None:
    ended = lab.run(ROOT / "examples/vm-group/job.json")

    assert ended.status == 0, ended.stderr
    results = ended.results
    nodes = {node["role"]: node for node in results["nodes"]}
    assert {role: node["state"] for role, node in nodes.items()} == {
        "host": "Complete",
        "server": "Complete",
        "client": "Complete",
    }
    cases = {
        role: {case["name"]: case["result"] for run in node["runs"] for case in run["cases"]}
        for role, node in nodes.items()
    }
    assert {result for node in cases.values() for result in node.values()} == {"pass"}
    assert {"host-has-kvm", "group-of-three", "met-at-sync"} <= cases["host"].keys()
    assert {"guest-is-32-bit", "met-at-sync"} <= cases["server"].keys()
    assert {"server-told-service", "server-told-port", "met-at-sync"} <= cases["client"].keys()
    for role in ("server", "client"):
        assert nodes[role]["attributes"]["accelerator"] == "kvm"
        assert re.search(r"^Linux version .*armmp", ended.console(nodes[role]["name"]), re.M)
    for role, case in (("host", "host-has-kvm"), ("server", "guest-is-32-bit")):
        assert f"TEST_CASE_ID={case} RESULT=pass" in ended.records(nodes[role]["name"])
    host_log = ended.console(nodes["host"]["name"])
    assert re.search(r"U-Boot 20\d\d\.\d\d", host_log)
    assert re.search(r"Hit any key to stop autoboot:[^\n]*\n+=> ", host_log.replace("\r", ""))
    check_other_formats(ended.output)
    assert re.findall("Complete", ended.stdout) == ["Complete"] * 3
    assert lab.traces() == []


def check_other_formats(output: Path) -> None:
    bundle = json.loads((output / "bundle.json").read_text())
    assert bundle["format"] == "Dashboard Bundle Format 1.7.1"
    assert [run["test_id"] for run in bundle["test_runs"]].count("vm-group-basic") == 3
    junit = ElementTree.parse(output / "junit.xml").getroot()
    assert (junit.get("failures"), junit.get("errors")) == ("0", "0")
    names = {case.get("name") for case in junit.iter("testcase")}
    assert {"met-at-sync", "server-told-port"} <= names
    kinds = {json.loads(line)["kind"] for line in (output / "events.jsonl").open()}
    assert {"node-start", "action-start", "test-case", "multinode", "node-end"} <= kinds


def test_cancel_of_a_booting_board_leaves_nothing_behind(lab: Lab) -> None:
    job = lab.write_job(group({"role": "guest"}), HELLO)

    ended = lab.run_until(job, lambda event: event["kind"] == "bootloader", signal.SIGINT)

    assert ended.status == 128 + signal.SIGINT, ended.stderr
    assert {node["state"] for node in ended.results["nodes"]} == {"Canceled"}
    assert lab.traces() == []
