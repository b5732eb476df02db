# SPDX-License-Identifier: MIT
"""A node's document for a scheduler, read again, gives the same node."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup import actions
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.job import NodeJob, VMGroup, expand, load_document, parse_job, to_document
from lava_vmgroup.job.sub_job import Assignment, parse_sub_job

ROOT = Path(__file__).parents[3]
JOBS = sorted((ROOT / "examples").glob("*/job.json"))
NOTHING = Assignment()


def expanded(path: Path) -> VMGroup:
    job = parse_job(load_document(path), path.parent, actions.parameter_schemas())
    return expand(job, job_id="17", target_group="9b4b0a39-7b5f-4f8c")


def placeless(node: NodeJob) -> NodeJob:
    """The node without where its actions stand in which file, and for whom they were meant."""
    cut = [
        tuple(replace(one, place="", role=None) for one in part)
        for part in (node.actions, node.submissions)
    ]
    return replace(node, actions=cut[0], submissions=cut[1])


@pytest.mark.parametrize("path", JOBS, ids=[path.parent.name for path in JOBS])
def test_every_example_survives_its_way_through_a_scheduler(path: Path, tmp_path: Path) -> None:
    group = expanded(path)

    for node in group.nodes:
        document = json.loads(json.dumps(to_document(group, node, secrets=True)))
        back = parse_sub_job(document, tmp_path, actions.parameter_schemas(), NOTHING)
        assert back.settings == replace(group.settings, obsolete=())
        assert [placeless(one) for one in back.nodes] == [placeless(node)]
        assert (back.size, back.is_sub_job) == (len(group.nodes), True)


def test_host_without_actions_of_its_own_is_there_for_its_vms(tmp_path: Path) -> None:
    document = json.loads(JOBS[0].read_text())
    guest = document["vm_group"]["vms"][0]["role"]
    document["actions"] = [{"command": "lava_test_shell", "parameters": {"role": guest}}]
    document["actions"][0]["parameters"]["testdef_urls"] = ["guest.yaml"]
    (tmp_path / "guest.yaml").touch()
    job = parse_job(document, tmp_path, actions.parameter_schemas())
    host = expand(job, job_id="17", target_group="group")

    sub_job = to_document(host, host.nodes[0], secrets=True)
    back = parse_sub_job(sub_job, tmp_path, actions.parameter_schemas(), NOTHING)

    assert sub_job["actions"] == []
    assert back.nodes[0].actions == ()


def test_watching_of_consoles_is_the_same_in_every_sub_job(tmp_path: Path) -> None:
    own = {"name": "lost", "pattern": "lost \\d+ frames", "severity": "note"}
    watch = {"silence": 90, "ignore": ["oom", "reset"], "patterns": [own]}
    document = {**json.loads(JOBS[0].read_text()), "console_watch": watch}
    job = parse_job(document, tmp_path, actions.parameter_schemas())
    group = expand(job, job_id="17", target_group="group")

    for node in group.nodes:
        sub_job = to_document(group, node, secrets=True)
        assert sub_job["console_watch"] == watch
        back = parse_sub_job(sub_job, tmp_path, actions.parameter_schemas(), NOTHING)
        assert back.settings == group.settings


V1: dict[str, Any] = {
    "timeout": 18000,
    "job_name": "seed",
    "logging_level": "DEBUG",
    "health_check": False,
    "is_vmhost": False,
    "auto_start_vms": True,
    "role": "server",
    "device_type": "dynamic-vm",
    "group_size": 3,
    "target_group": "f7a5c7c6-6d56-4d4e-8a5b-2f6a1b6ad7a0",
    "target": "vm2-job17.2",
    "sub_id": "17.2",
    "actions": [
        {"command": "deploy_linaro_image", "parameters": {"image": "x.img", "repeat_count": 0}},
        {
            "command": "lava_test_shell",
            "parameters": {"testdef_urls": ["x.yaml"], "repeat_count": 2},
        },
    ],
}
"""A sub-job as LAVA v1's daemon left it: the VM's type stands in a file beside it."""


VM9 = Assignment(target="vm9-job17.2", backend="kvm-arm")


def test_sub_job_of_lavas_own_scheduler_is_taken(tmp_path: Path) -> None:
    group = parse_sub_job(V1, tmp_path, actions.parameter_schemas(), VM9)

    (node,) = group.nodes
    assert (node.device_type, node.target, node.number) == ("kvm-arm", "vm9-job17.2", 2)
    assert [action.parameters for action in node.actions] == [
        {"image": "x.img"},
        {"testdef_urls": ["x.yaml"], "repeat_count": 2},
    ]
    assert group.settings.folder == tmp_path


def test_vm_whose_type_nobody_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        parse_sub_job(V1, tmp_path, actions.parameter_schemas(), NOTHING)

    assert caught.value.problems == (
        "config: missing; it says with dynamic_vm_backend_device_type what kind of VM this is, "
        "or a file does that --config names",
    )


def test_vm_stays_optional_on_its_way_through_a_scheduler(tmp_path: Path) -> None:
    group = parse_sub_job({**V1, "optional": True}, tmp_path, actions.parameter_schemas(), VM9)

    document = to_document(group, group.nodes[0])

    assert (group.nodes[0].optional, document["optional"]) == (True, True)
    assert "optional" not in to_document(group, replace(group.nodes[0], optional=False))
