# SPDX-License-Identifier: MIT
"""What was recorded before things went wrong is in every result format."""

import json
from xml.etree import ElementTree

from tests.e2e.test_vm_group import HELLO, group
from tests.support.lab import IMAGES, Lab

DIES = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: dies, description: switches off}
run:
  steps:
    - lava-test-case before-the-end --result pass --measurement 3 --units apples
    - poweroff -f
"""

HANGS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: hangs, description: never ends}
run:
  steps:
    - lava-test-case before-the-limit --result fail
    - lava-test-case hanging --shell sleep 1000
"""


def test_results_before_a_death_and_a_time_out_are_kept(lab: Lab) -> None:
    image = str(IMAGES / "vm-arm64.img")
    job = group({"device_type": "kvm-aarch64", "role": "guest", "image": image})
    shells = [
        {"testdef_urls": ["dies.yaml"], "role": "guest"},
        {"testdef_urls": ["testdef.yaml"], "role": "host"},
        {"testdef_urls": ["hangs.yaml"], "role": "host", "timeout": 14},
    ]
    job["actions"][1:] = [
        {"command": "lava_test_shell", "parameters": parameters} for parameters in shells
    ]
    (lab.folder / "dies.yaml").write_text(DIES)
    (lab.folder / "hangs.yaml").write_text(HANGS)

    ended = lab.run(lab.write_job(job, HELLO))

    host, guest = ended.results["nodes"]
    assert ended.status == 7, ended.stderr
    assert (host["state"], guest["state"]) == ("Incomplete", "Incomplete")
    assert "timed out: lava_test_shell, limit 14 s" in host["error"]["message"]
    expected = {"hello": "pass", "before-the-limit": "fail", "before-the-end": "pass"}
    in_json = {
        case["name"]: case["result"]
        for node in (host, guest)
        for run in node["runs"]
        for case in run["cases"]
    }
    assert expected.items() <= in_json.items()
    bundle = json.loads((ended.output / "bundle.json").read_text())
    in_bundle = {
        result["test_case_id"]: result
        for run in bundle["test_runs"]
        if run["test_id"] != "lava"
        for result in run["test_results"]
    }
    assert expected.items() <= {name: one["result"] for name, one in in_bundle.items()}.items()
    assert in_bundle["before-the-end"]["measurement"] == "3"
    junit = ElementTree.parse(ended.output / "junit.xml").getroot()
    in_junit = {case.get("name"): case.find("failure") is None for case in junit.iter("testcase")}
    assert {name: one == "pass" for name, one in expected.items()}.items() <= in_junit.items()
    assert lab.traces() == []
