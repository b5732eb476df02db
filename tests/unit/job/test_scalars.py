# SPDX-License-Identifier: MIT
"""A job's numbers and truth values are what its author wrote, in JSON and in YAML."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup import actions
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.job import expand, load_document, parse_job, to_document

JOB = """
timeout: 600
job_name: {text}
tags: [{text}]
vm_group:
  auto_start_vms: yes
  host: {{device_type: arndale}}
  vms:
    - {{device_type: kvm-arm, role: on, count: 0x2, image: {text}}}
actions:
  - command: lava_command_run
    metadata: {{note: {text}}}
    parameters: {{role: on, commands: [{text}], timeout: 1_0.5}}
  - command: lava_test_shell
    parameters:
      testdef_repos:
        - git-repo: tests.git
          branch: {text}
          revision: {text}
          parameters: {{A: {text}}}
        - from: inline
          repository:
            metadata: {{name: {text}}}
            run: {{steps: [{text}]}}
            params: {{A: {text}}}
"""


def load(path: Path) -> Any:
    return load_document(path, actions.parameter_schemas())


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "text", ["1.10", "yes", "Off", "010", "0x10", "1e3", ".5", "1_000", "12:30", "2024-01-01", "="]
)
def test_yaml_scalar_is_its_authors_text_where_text_is_due(tmp_path: Path, text: str) -> None:
    document = load(written(tmp_path, "job.yaml", JOB.format(text=text).encode()))

    run, shell = (action["parameters"] for action in document["actions"])
    git, inline = shell["testdef_repos"]
    repository = inline["repository"]
    texts = [document["job_name"], *document["tags"], document["vm_group"]["vms"][0]["image"]]
    texts += [document["actions"][0]["metadata"]["note"], *run["commands"]]
    texts += [git["branch"], git["revision"], git["parameters"]["A"]]
    texts += [repository["metadata"]["name"], *repository["run"]["steps"]]
    texts += [repository["params"]["A"]]
    assert texts == [text] * 11
    assert {type(one) for one in texts} == {str}
    assert (document["timeout"], run["timeout"]) == (600, 10.5)
    assert document["vm_group"]["auto_start_vms"] is True
    assert document["vm_group"]["vms"][0]["count"] == 2
    assert run["role"] == document["vm_group"]["vms"][0]["role"] == "on"


@pytest.mark.parametrize(
    ("text", "value"), [("1e3", 1000.0), ("1_000", 1000), ("010", "010"), ("12:30", "12:30")]
)
def test_yaml_number_is_one_where_every_reader_agrees(
    tmp_path: Path, text: str, value: float | str
) -> None:
    document = load(written(tmp_path, "job.yaml", f"timeout: {text}".encode()))

    assert document == {"timeout": value}


@pytest.mark.parametrize("text", ["1.10", "1E3", "-0.0", "123456789012345678901234567890", "true"])
def test_json_value_of_a_tests_parameter_is_its_authors_text(tmp_path: Path, text: str) -> None:
    source = '{"url": "t.yaml", "parameters": {"A": %s}}' % text  # noqa: UP031
    content = """{"timeout": 600, "vm_group": {"host": {"device_type": "arndale"},
        "vms": [{"device_type": "kvm-arm", "role": "guest", "image": "x"}]}, "actions": [
        {"command": "lava_test_shell", "metadata": {"note": %s}, "parameters": {"timeout": 60,
            "testdef_repos": [%s]}}]}""" % (text, source)  # noqa: UP031
    job = parse_job(
        load(written(tmp_path, "job.json", content.encode())), tmp_path, actions.parameter_schemas()
    )

    group = expand(job, job_id="1", target_group="g")
    (action,) = to_document(group, group.nodes[0])["actions"]

    assert action["parameters"]["testdef_repos"][0]["parameters"] == {"A": text}
    assert action["parameters"]["timeout"] == 60
    assert job.actions[0].metadata == {"note": text}


def test_number_in_the_place_of_text_is_refused_in_json(tmp_path: Path) -> None:
    document = load(written(tmp_path, "job.json", b'{"job_name": 7, "timeout": 1.5}'))

    assert document == {"job_name": 7, "timeout": 1.5}


@pytest.mark.parametrize("name", ["job.json", "job.yaml"])
@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + b'{"timeout": 1,\r\n "tags": ["\xc3\xa4"]}\r\n',
        '{"timeout": 1, "tags": ["ä"]}'.encode("utf-16"),
    ],
)
def test_job_may_begin_with_a_byte_order_mark(tmp_path: Path, name: str, content: bytes) -> None:
    assert load(written(tmp_path, name, content)) == {"timeout": 1, "tags": ["ä"]}


@pytest.mark.parametrize("name", ["job.json", "job.yaml"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1,\n"b": "\xe4"}', r"is not UTF-8 text \(byte 15\): line 2 has 0xe4; save"),
        (b'{"a": 1}\n\0\0\0\0', "has a NUL character in line 2; is it whole"),
    ],
)
def test_job_that_is_no_text_is_refused_with_the_place(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    with pytest.raises(JobError, match=rf"{name} {words}"):
        load(written(tmp_path, name, content))


def test_notes_at_the_top_of_a_job_are_left_alone(tmp_path: Path) -> None:
    job = {
        "_comment": ["nightly", 1],
        "timeout": 600,
        "vm_group": {
            "host": {"device_type": "arndale"},
            "vms": [{"device_type": "kvm-arm", "role": "guest", "image": "x"}],
        },
        "actions": [{"command": "boot_linaro_image"}],
    }
    content = json.dumps(job).encode()

    parsed = parse_job(
        load(written(tmp_path, "job.json", content)), tmp_path, actions.parameter_schemas()
    )

    assert parsed.settings.timeout_s == 600
