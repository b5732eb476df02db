# SPDX-License-Identifier: MIT
"""The words by which a job names its host's properties and the accelerator of its VMs."""

import json
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup import actions
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.job import Job, NodeJob, expand, parse_job, to_document
from lava_vmgroup.job.model import RequiresPolicy, WantedAccelerator
from lava_vmgroup.job.requires import KNOWN, UnknownRequirement, parse_requirement
from lava_vmgroup.job.sub_job import Assignment, parse_sub_job

ALL = [
    "kvm",
    "el2",
    "kvm-mode:protected",
    "gic:3",
    "arch:aarch64",
    "cpus>=4",
    "memory>=2048",
    "qemu>=8.0",
    "module:vhost_net",
    "device:/dev/vfio/vfio",
    "command:trace-cmd",
    "file:/sys/kernel/tracing",
]


def parse(host: dict[str, Any], vm: dict[str, Any]) -> Job:
    document = {
        "timeout": 60,
        "vm_group": {
            "host": {"device_type": "board", **host},
            "vms": [{"device_type": "kvm-arm", "role": "guest", "image": "vm.img", **vm}],
        },
        "actions": [{"command": "boot_linaro_image"}],
    }
    return parse_job(document, Path("/jobs"), actions.parameter_schemas())


def problems(host: dict[str, Any], vm: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(JobError) as caught:
        parse(host, vm)
    return caught.value.problems


def test_every_word_is_taken_as_it_is_written() -> None:
    host = parse({"requires": ALL}, {}).host

    assert [str(one) for one in host.requires] == ALL
    assert {word.partition(":")[0].partition(">=")[0] for word in KNOWN} == {
        word.partition(":")[0].partition(">=")[0] for word in ALL
    }


def test_spaces_and_repetitions_do_not_matter() -> None:
    words = ["cpus >= 4", " kvm ", "kvm", "gic: 3", "module:vhost-net", "file:/with space"]

    requires = parse({}, {"requires": words}).vms[0].requires

    assert [str(one) for one in requires] == [
        "cpus>=4",
        "kvm",
        "gic:3",
        "module:vhost_net",
        "file:/with space",
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("kmv", "unknown requirement 'kmv'; did you mean 'kvm'? known: kvm, el2, kvm-mode:vhe|"),
        ("", "unknown requirement ''; known: kvm"),
        ("KVM", "unknown requirement 'KVM'; known: kvm"),
        ("kvm:1", "expected kvm alone, got 'kvm:1'"),
        ("arch:arm64", "unknown arch 'arm64'; did you mean 'aarch64'? known: aarch64, aarch32,"),
        ("gic:4", "unknown gic '4'; known: 2, 3"),
        ("kvm-mode", "expected kvm-mode:vhe|nvhe|protected, got 'kvm-mode'"),
        ("cpus", "expected cpus>=, the only comparison, and a whole number, as in cpus>=4"),
        ("cpus>4", "expected cpus>=, the only comparison"),
        ("memory<=4096", "expected memory>=, the only comparison"),
        ("qemu==8.0", "expected qemu>=, the only comparison, and a version"),
        ("qemu=8.0", "expected qemu>=, the only comparison"),
        ("memory>=2G", "expected a whole number of MiB, as in memory>=2048, got 'memory>=2G'"),
        ("qemu>=8.x", "expected a version, as in qemu>=8.0, got 'qemu>=8.x'"),
        ("device:/tmp/disk", "expected a device, as in device:/dev/vfio/vfio"),
        ("command:/bin/sh", "expected a command's name without a path"),
        ("file:etc/passwd", "expected an absolute path"),
        ("module:../x", "expected the name of a kernel module"),
    ],
)
def test_other_words_are_refused_with_what_is_known(word: str, message: str) -> None:
    with pytest.raises(UnknownRequirement) as caught:
        parse_requirement(word)

    assert message in str(caught.value)


def test_each_bad_word_is_told_with_its_place() -> None:
    bad = ["kvm", "cpus>3", "nope"]

    found = problems({"requires": bad}, {"requires": bad})

    assert [one.partition(": ")[0] for one in found] == [
        "vm_group.host.requires[1]",
        "vm_group.host.requires[2]",
        "vm_group.vms[0].requires[1]",
        "vm_group.vms[0].requires[2]",
    ]


@pytest.mark.parametrize(
    ("requires", "message"),
    [
        ("kvm", "vm_group.host.requires: expected a list, got 'kvm'"),
        ([{"arch": "aarch64"}], "vm_group.host.requires[0]: expected a word in quotes"),
        ([True], "vm_group.host.requires[0]: expected a word in quotes"),
    ],
)
def test_requirements_of_another_shape_are_refused(requires: object, message: str) -> None:
    (found,) = problems({"requires": requires}, {})

    assert message in found


@pytest.mark.parametrize(
    ("host", "vm", "message"),
    [
        (
            {"requires": ["arch:aarch64", "kvm", "arch:x86_64"]},
            {},
            "vm_group.host.requires[2]: no host has both arch:aarch64 and arch:x86_64",
        ),
        (
            {},
            {"requires": ["kvm"], "accelerator": "tcg"},
            "vm_group.vms[0].accelerator: tcg never uses KVM, which vm_group.vms[0].requires",
        ),
        (
            {},
            {"launch_with": "run", "accelerator": "kvm"},
            "vm_group.vms[0].accelerator: launch_with starts the VM",
        ),
        (
            {"requires_policy": "fail"},
            {},
            "vm_group.host.requires_policy: there is no requires beside it",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(
    host: dict[str, Any], vm: dict[str, Any], message: str
) -> None:
    (found,) = problems(host, vm)

    assert message in found


@pytest.mark.parametrize("accelerator", ["hvf", "KVM", "", True])
def test_other_accelerators_are_refused(accelerator: object) -> None:
    (found,) = problems({}, {"accelerator": accelerator})

    assert "vm_group.vms[0].accelerator" in found
    assert "tcg" in found


def test_wishes_survive_their_way_through_a_scheduler(tmp_path: Path) -> None:
    job = parse(
        {"requires": ["kvm", "cpus >= 2"], "requires_policy": "fail"},
        {"requires": ["kvm-mode:vhe"], "accelerator": "kvm"},
    )
    group = expand(job, job_id="17", target_group="group")

    back: list[NodeJob] = []
    for node in group.nodes:
        document = json.loads(json.dumps(to_document(group, node)))
        schemas = actions.parameter_schemas()
        back += parse_sub_job(document, tmp_path, schemas, Assignment(target="n")).nodes

    host, vm = back
    assert [str(one) for one in host.requires] == ["kvm", "cpus>=2"]
    assert host.requires_policy is RequiresPolicy.FAIL
    assert (vm.requires, vm.accelerator) == (job.vms[0].requires, WantedAccelerator.KVM)
    assert vm.requires_policy is RequiresPolicy.SKIP


def test_sub_job_says_nothing_of_what_the_job_does_not_ask() -> None:
    group = expand(parse({}, {}), job_id="17", target_group="group")

    keys = {key for node in group.nodes for key in to_document(group, node)}

    assert not {"requires", "requires_policy", "accelerator"} & keys


def test_sub_job_is_checked_like_a_job(tmp_path: Path) -> None:
    group = expand(parse({}, {}), job_id="17", target_group="group")
    host, vm = (to_document(group, node) for node in group.nodes)
    found = []
    for document in (
        {**host, "requires": ["nope"]},
        {**host, "accelerator": "kvm"},
        {**vm, "requires": ["kvm"], "accelerator": "tcg"},
    ):
        with pytest.raises(JobError) as caught:
            parse_sub_job(document, tmp_path, actions.parameter_schemas(), Assignment(target="n"))
        found += [one.partition(": ")[0] for one in caught.value.problems]

    assert found == ["requires[0]", "accelerator", "accelerator"]
