# SPDX-License-Identifier: MIT
"""Groups whose nodes are run by dispatchers of their own, as LAVA's scheduler runs them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.lab import IMAGES, ROOT, Ended, Lab, coordinator, follow

MEETING = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: meeting, description: meets}
run:
  steps:
    - lava-sync together
"""

ABSENT = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: absent, description: never comes}
run:
  steps:
    - lava-wait never-sent
"""


def outcomes(ended: Ended) -> dict[str, Any]:
    """What became of each role, and the verdicts of its tests."""
    return {
        node["role"]: (
            node["state"],
            {
                (run["name"], case["name"]): case["result"]
                for run in node["runs"]
                for case in run["cases"]
            },
        )
        for node in ended.results["nodes"]
    }


def test_ids(bundle: Path) -> list[tuple[str, str]]:
    """The test runs of a bundle, each with its node's role."""
    runs = json.loads(bundle.read_text())["test_runs"]
    return [(run["attributes"]["role"], run["test_id"]) for run in runs]


test_ids.__test__ = False  # type: ignore[attr-defined]


def test_separate_dispatchers_give_the_results_of_the_whole_job(lab: Lab) -> None:
    job = ROOT / "examples/vm-group/job.json"
    whole = lab.run(job)
    with coordinator(lab.folder) as port:
        started = lab.start_sub_jobs(job, port)
        ended = {
            number: lab.finish(process, f"results-{number}") for number, process in started.items()
        }

    assert {number: one.status for number, one in ended.items()} == {"0": 0, "1": 0, "2": 0}, [
        one.stderr for one in ended.values()
    ]
    assert outcomes(ended["0"]) == outcomes(whole)
    for number, role in (("1", "server"), ("2", "client")):
        assert outcomes(ended[number]) == {role: outcomes(whole)[role]}
    assert test_ids(ended["0"].output / "bundle.json") == test_ids(whole.output / "bundle.json")
    for upload in ended["1"].results["uploads"]:
        (other,) = (
            one for one in ended["2"].results["uploads"] if one["digest"] == upload["digest"]
        )
        assert 0 in (upload["bytes_sent"], other["bytes_sent"])
    text = (ended["1"].output / "output.txt").read_text(errors="replace")
    assert text.startswith("<LAVA_DISPATCHER>")
    assert "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=guest-is-32-bit RESULT=pass>" in text
    assert lab.traces() == []


def syncs(event: Mapping[str, Any]) -> bool:
    return event["kind"] == "multinode" and "lava-sync" in event["message"]


def waits(event: Mapping[str, Any]) -> bool:
    return event["kind"] == "multinode" and "lava-wait" in event["message"]


def test_dispatcher_that_is_killed_is_named_by_all_others(lab: Lab) -> None:
    vm = {"device_type": "kvm-aarch64", "image": str(IMAGES / "vm-arm64.img")}
    roles = {"host": "testdef.yaml", "friend": "testdef.yaml", "victim": "absent.yaml"}
    document = {
        "timeout": 480,
        "vm_group": {
            "host": {"device_type": "emulated-arm64"},
            "vms": [{**vm, "role": "friend", "count": 3}, {**vm, "role": "victim"}],
        },
        "actions": [
            {
                "command": "deploy_linaro_image",
                "parameters": {"image": str(IMAGES / "host.img"), "role": "host"},
            },
            *(
                {
                    "command": "lava_test_shell",
                    "parameters": {"testdef_urls": [testdef], "role": role},
                }
                for role, testdef in roles.items()
            ),
        ],
    }
    (lab.folder / "absent.yaml").write_text(ABSENT)
    # Four fit into the board's memory only if they are modest.
    (lab.board / "config/device-types/kvm-aarch64.conf").write_text("qemu_memory = 384\n")
    job = lab.write_job(document, MEETING)
    with coordinator(lab.folder) as port:
        started = lab.start_sub_jobs(job, port)
        victim = started.pop("4")
        for number, process in started.items():
            events = follow(lab.folder / f"results-{number}/events.jsonl", process)
            assert any(syncs(event) for event in events), number
        assert any(waits(event) for event in follow(lab.folder / "results-4/events.jsonl", victim))
        victim.kill()
        victim.communicate()
        ended = {
            number: lab.finish(process, f"results-{number}") for number, process in started.items()
        }

    for one in ended.values():
        assert one.status == 6, one.stderr
        (error,) = {node["error"]["message"] for node in one.results["nodes"][:1]}
        assert "vm1-job17.4 failed: its connection to the coordinator broke off" in error
