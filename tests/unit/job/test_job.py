# SPDX-License-Identifier: MIT
import copy
import json
from typing import Any

import pytest

from lava_vmgroup.job.expansion import expand, to_document
from lava_vmgroup.job.model import VMGroup
from tests.unit.job.jobs import VALID, changed, parse, problems


def expanded(document: Any) -> VMGroup:
    return expand(parse(document), job_id="17", target_group="group-uuid")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("timeout", None, "timeout: missing; the job needs it"),
        ("timeout", "long", "timeout: expected a number, got 'long'"),
        ("timeout", 0, "timeout: expected a number of more than 0, got 0"),
        ("vm_gruop", {}, "vm_gruop: unknown key 'vm_gruop'; did you mean 'vm_group'?"),
        ("logging_level", "debug", "logging_level: unknown value 'debug'"),
        ("vm_group.host", None, "vm_group.host: missing; vm_group needs it"),
        ("vm_group.host.device_type", 7, "vm_group.host.device_type: expected a name"),
        ("vm_group.vms", [], "vm_group.vms: must not be empty"),
        ("vm_group.vms.0.count", 0, "vm_group.vms[0].count: expected a number of at least 1"),
        ("vm_group.vms.0.count", True, "vm_group.vms[0].count: expected a whole number, got True"),
        ("vm_group.vms.1.device_type", "xen", "vm_group.vms[1].device_type: xen is not supported"),
        ("vm_group.vms.1.device_type", "kvm-amr", "did you mean 'kvm-arm'?"),
        ("vm_group.vms.1.role", "a b", "vm_group.vms[1].role: expected a name of letters"),
        ("vm_group.vms.1.role", "host", "vm_group.vms[1].role: 'host' is the host's role"),
        ("vm_group.vms.1.launch_with", 7, "expected a command, or a list of commands, got 7"),
        ("vm_group.vms.1.launch_with", [7], "launch_with[0]: expected a command, got 7"),
        ("vm_group.vms.1.launch_with", [], "launch_with: must not be empty"),
        ("vm_group.vms.1.image", 7, "image: expected a path or URL, or an object with url"),
        ("vm_group.vms.1.image", {}, "vm_group.vms[1].image.url: missing"),
        ("vm_group.vms.1.image", {"url": "a", "sha256": "b"}, "did you mean 'sha256sum'?"),
        ("actions.0.parameters.image", "", "actions[0].parameters.image: must not be empty"),
        (
            "actions.0.parameters.image",
            {"url": "a", "sha256sum": "b"},
            "actions[0].parameters.image.sha256sum: expected 64 hexadecimal digits, got 'b'",
        ),
        ("actions.0.parameters.hwpack", "h", "hwpack needs linaro-media-create"),
        ("actions", "deploy", "actions: expected a list, got 'deploy'"),
        ("actions.0.command", "deploy_linaro_imgae", "did you mean 'deploy_linaro_image'?"),
        ("actions.0.parameters.image", None, "actions[0].parameters.image: missing"),
        ("actions.1.parameters.role", "cleint", "actions[1].parameters.role: unknown role"),
        ("actions.1.parameters.role", ["client"], "expected one role, or no role for all"),
        ("actions.3.parameters.testdef_urls", "t.yaml", "expected a list, got 't.yaml'"),
    ],
)
def test_broken_job_is_refused_with_its_place(path: str, value: Any, expected: str) -> None:
    found = problems(changed(path, value))

    assert any(expected in line for line in found), found


def test_all_problems_are_reported_at_once() -> None:
    document = changed("vm_group.vms.0.count", -1)
    document["timeout"] = None
    document["actions"][3]["command"] = "lava_test_shel"

    found = "\n".join(problems(document))

    assert "vm_group.vms[0].count" in found
    assert "timeout" in found
    assert "actions[3].command" in found


@pytest.mark.parametrize("document", [None, [], "job", 3])
def test_document_that_is_no_object_is_refused(document: Any) -> None:
    assert "the job: expected an object" in problems(document)[0]


def test_specification_example_expands_into_host_and_vms() -> None:
    group = expanded(VALID)

    assert [(node.sub_id, node.target, node.role) for node in group.nodes] == [
        ("17.0", None, "host"),
        ("17.1", "vm2-job17.1", "server"),
        ("17.2", "vm1-job17.2", "client"),
    ]
    assert {node.group_size for node in group.nodes} == {3}
    assert {node.target_group for node in group.nodes} == {"group-uuid"}


def test_each_role_gets_its_own_actions_and_those_for_all() -> None:
    client = expanded(VALID).nodes[2]

    assert [(action.command, dict(action.parameters)) for action in client.actions] == [
        ("deploy_linaro_image", {"image": "c.img"}),
        ("lava_test_shell", {"testdef_urls": ["t.yaml"]}),
    ]


def test_count_and_repeated_roles_give_unique_names() -> None:
    document = changed("vm_group.vms.0.count", 3)
    document["vm_group"]["vms"].append({"device_type": "kvm-arm", "role": "server"})

    nodes = expanded(document).nodes

    assert len({node.target for node in nodes}) == len({node.sub_id for node in nodes}) == 6
    assert [node.role for node in nodes] == ["host", *["server"] * 3, "client", "server"]
    assert {node.group_size for node in nodes} == {6}


def test_image_of_a_vm_is_deployed_where_no_action_does() -> None:
    document = changed("vm_group.vms.0.image", "own.img")
    del document["actions"][2]

    server = expanded(document).nodes[1]

    assert server.actions[0].command == "deploy_linaro_image"
    assert dict(server.actions[0].parameters) == {"image": "own.img"}


@pytest.mark.parametrize(("said", "expected"), [(None, True), (True, True), (False, False)])
def test_auto_start_vms_is_true_unless_the_job_says_otherwise(
    said: bool | None, expected: bool
) -> None:
    document = copy.deepcopy(VALID)
    if said is not None:
        document["vm_group"]["auto_start_vms"] = said

    assert {node.auto_start_vms for node in expanded(document).nodes} == {expected}


def test_equal_entries_of_vms_are_more_members_of_one_role() -> None:
    entry = {"device_type": "kvm-arm", "role": "server", "image": "s.img"}
    document = changed("vm_group.vms", [entry, entry, {**entry, "role": "client"}])
    del document["actions"][1:3]

    nodes = expanded(document).nodes[1:]

    assert [node.role for node in nodes] == ["server", "server", "client"]
    assert [node.actions[0].place for node in nodes] == [
        f"vm_group.vms[{number}].image" for number in range(3)
    ]


def test_repeated_action_is_that_many_actions_that_know_their_number() -> None:
    document = changed("actions.3.parameters.repeat", 3)

    shells = expanded(document).nodes[1].actions[1:]

    assert [dict(action.parameters) for action in shells] == [
        {"testdef_urls": ["t.yaml"], "repeat_count": count} for count in range(3)
    ]
    assert {(action.command, action.place) for action in shells} == {
        ("lava_test_shell", "actions[3]")
    }


def test_repeated_action_that_does_not_count_gets_no_number() -> None:
    document = changed("actions.3", {"command": "boot_image", "parameters": {"repeat": 2}})

    boots = expanded(document).nodes[0].actions[1:]

    assert [(action.command, dict(action.parameters)) for action in boots] == [
        ("boot_image", {})
    ] * 2


def test_action_that_is_to_run_once_is_not_numbered() -> None:
    document = changed("actions.3.parameters.repeat", 1)

    assert "repeat_count" not in expanded(document).nodes[0].actions[1].parameters


def test_metadata_of_an_action_becomes_text() -> None:
    document = changed("actions.3.metadata", {"kernel": "6.1", "build": 7, "debug": True})

    action = parse(document).actions[3]

    assert dict(action.metadata) == {"kernel": "6.1", "build": "7", "debug": "true"}


def test_priority_is_written_in_any_case() -> None:
    assert parse(changed("priority", "Medium"))


def test_submission_is_no_step_and_its_secrets_are_not_shown() -> None:
    server = "https://me:hidd3n@lava.example.org/RPC2/"
    parameters = {"server": server, "stream": "/anonymous/x/", "role": "client"}
    submit = {"command": "submit_results_on_host", "parameters": {**parameters, "token": "s3cr3t"}}
    group = expanded(changed("actions.3", submit))

    host, server_vm, client = group.nodes
    shown = to_document(group, client)

    assert [len(node.submissions) for node in (host, server_vm, client)] == [0, 0, 1]
    assert [action.command for action in client.actions] == ["deploy_linaro_image"]
    assert shown["actions"][-1] == {
        "command": "submit_results_on_host",
        "parameters": {
            "server": "https://me:********@lava.example.org/RPC2/",
            "stream": "/anonymous/x/",
            "token": "********",
        },
    }


def test_message_about_a_secret_does_not_show_it() -> None:
    submit = {"command": "submit_results", "parameters": {"token": ["s3cr3t"]}}

    assert "s3cr3t" not in "".join(problems(changed("actions.3", submit)))


@pytest.mark.parametrize(
    "given", [{}, {"port": 3079}, {"hostname": "localhost"}, {"port": 1, "hostname": "x"}]
)
def test_obsolete_keys_that_a_job_has_are_known_and_remembered(given: dict[str, Any]) -> None:
    assert {*parse({**VALID, **given}).settings.obsolete} == given.keys()


def test_sub_job_has_the_form_that_schedulers_hand_out() -> None:
    group = expanded(VALID)

    document = to_document(group, group.nodes[1])

    assert json.loads(json.dumps(document)) == {
        "job_name": "basic",
        "timeout": 18000,
        "logging_level": "INFO",
        "is_vmhost": False,
        "auto_start_vms": True,
        "group_size": 3,
        "target_group": "group-uuid",
        "sub_id": "17.1",
        "role": "server",
        "device_type": "dynamic-vm",
        "actions": [
            {"command": "deploy_linaro_image", "parameters": {"image": "s.img"}},
            {"command": "lava_test_shell", "parameters": {"testdef_urls": ["t.yaml"]}},
        ],
        "target": "vm2-job17.1",
        "config": {"device_type": "dynamic-vm", "dynamic_vm_backend_device_type": "kvm-arm"},
        "job_folder": "/jobs",
    }


@pytest.mark.parametrize("expression", ["guest(?i)> ", "guest> (?s)"])
def test_flags_of_an_expression_may_stand_anywhere_as_in_lava(expression: str) -> None:
    document = changed("vm_group.vms.0.shell_prompt", expression)
    document["console_watch"] = {
        "patterns": [{"name": "mine", "pattern": expression, "severity": "error"}]
    }

    assert parse(document).vms[0].shell_prompt == expression
