# SPDX-License-Identifier: MIT
"""The job of ``examples/git-repository``: a repository goes to host and VM, files come back."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.support.examples import without_deployment
from tests.support.lab import ROOT
from tests.support.twin import TwinLab

EXAMPLE = ROOT / "examples/git-repository"
IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@lab", "-c", "commit.gpgsign=no"]


def make_repository(folder: Path) -> str:
    """The example's tests as a git repository of our own; returns the commit."""
    shutil.copytree(EXAMPLE / "tests", folder)
    for words in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["commit", "--quiet", "--message=x"],
    ):
        subprocess.run(["git", *IDENTITY, *words], cwd=folder, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return head.stdout.strip()


def test_files_come_back_from_host_and_vm(twin_lab: TwinLab) -> None:
    lab = twin_lab
    job = without_deployment(EXAMPLE / "job.json", lab.folder)
    shutil.rmtree(job.parent / "tests")
    commit = make_repository(job.parent / "tests")
    # Results come back without a network, so the VM has none.
    (lab.config / "device-types/kvm-aarch64.conf").write_text("qemu_networks =\n")

    ended = lab.run(job)

    assert ended.status == 0, ended.stderr
    nodes = {node["role"]: node for node in ended.results["nodes"]}
    assert nodes.keys() == {"host", "guest"}
    assert "group_ip" not in nodes["guest"]["attributes"]
    for node in nodes.values():
        (run,) = node["runs"]
        check_run(run, commit)
        check_files(run, ended.output)
    check_bundle(ended.output / "bundle.json", commit)
    check_junit(ended.output)
    events = [json.loads(line) for line in (ended.output / "events.jsonl").open()]
    assert [event for event in events if event["kind"] in ("collect", "overlay", "testdef")] == []
    assert lab.traces() == []


def check_run(run: dict[str, Any], commit: str) -> None:
    assert run["name"] == "count-words"
    assert run["finished"]
    assert (run["metadata"]["location"], run["metadata"]["version"]) == ("GIT", commit)
    assert run["metadata"]["kernel"] == "Linux"
    fields = ("name", "result", "measurement", "units", "set", "reference")
    assert [tuple(case[field] for field in fields) for case in run["cases"]] == [
        ("lava-test-shell-install", "pass", None, None, None, None),
        ("count", "pass", None, None, "counting", None),
        ("not-empty", "pass", None, None, "counting", None),
        ("words", "pass", "3", "words", None, None),
        ("format", "skip", None, None, None, "https://example.org/formats/1"),
        ("by-a-tool", "pass", None, None, None, None),
    ]
    (source,) = run["software"]["sources"]
    assert source == {
        "project_name": "tests",
        "branch_vcs": "git",
        "branch_url": "tests",
        "branch_revision": commit,
        "default_params": {"WORDS": "one", "EXPECTED": "3"},
        "test_params": {"WORDS": "three little words"},
    }
    assert run["software"]["image"]
    kinds = {device["device_type"] for device in run["hardware"]}
    assert {"device.cpu", "device.mem"} <= kinds


def check_files(run: dict[str, Any], output: Path) -> None:
    files = {one["pathname"]: (output / one["path"]).read_bytes() for one in run["attachments"]}
    assert files.keys() == {
        "stdout.log",
        "testdef.yaml",
        "return_code",
        "install_return_code",
        "run.sh",
        "install.sh",
        "tools/count",
    }
    assert files["tools/count"] == (EXAMPLE / "tests/tools/count").read_bytes()
    assert files["testdef.yaml"] == (EXAMPLE / "tests/count.yaml").read_bytes()
    assert files["return_code"] == b"0\n"
    assert b"not-empty: ok\n" in files["stdout.log"]
    (words,) = (case for case in run["cases"] if case["name"] == "words")
    (attachment,) = words["attachments"]
    assert (attachment["pathname"], attachment["mime_type"]) == ("words.txt", "text/x-words")
    assert (output / attachment["path"]).read_text() == "three\nlittle\nwords\n"


def check_bundle(path: Path, commit: str) -> None:
    runs = [run for run in json.loads(path.read_text())["test_runs"] if run["test_id"] != "lava"]
    assert {run["attributes"]["role"] for run in runs} == {"host", "guest"}
    fields = ("test_case_id", "result", "measurement", "units")
    for run in runs:
        assert [tuple(map(one.get, fields)) for one in run["test_results"]] == [
            ("lava-test-shell-install", "pass", None, None),
            ("count", "pass", None, None),
            ("not-empty", "pass", None, None),
            ("words", "pass", "3", "words"),
            ("format", "skip", None, None),
            ("by-a-tool", "pass", None, None),
        ]
        assert run["testdef_metadata"]["version"] == commit
        assert run["software_context"]["sources"][0]["branch_revision"] == commit
        content = {one["pathname"]: base64.b64decode(one["content"]) for one in run["attachments"]}
        assert content["return_code"] == b"0\n"
        (words,) = (one for one in run["test_results"] if one["test_case_id"] == "words")
        assert base64.b64decode(words["attachments"][0]["content"]) == b"three\nlittle\nwords\n"


def check_junit(output: Path) -> None:
    junit = ElementTree.parse(output / "junit.xml").getroot()
    suites = [one for one in junit if (one.get("name") or "").endswith(".count-words")]
    assert len(suites) == 2
    for suite in suites:
        name = suite.get("name")
        cases = list(suite.iter("testcase"))
        verdicts = [
            [part.tag for part in case if part.tag in ("failure", "error", "skipped")]
            for case in cases
        ]
        assert [(case.get("name"), case.get("classname")) for case in cases] == [
            ("lava-test-shell-install", name),
            ("count", f"{name}.counting"),
            ("not-empty", f"{name}.counting"),
            ("words", name),
            ("format", name),
            ("by-a-tool", name),
        ]
        assert verdicts == [[], [], [], [], ["skipped"], []]
        facts = {one.get("name"): one.get("value") or "" for one in cases[3].iter("property")}
        assert (facts["measurement"], facts["units"]) == ("3", "words")
        assert (output / facts["attachment"]).read_text() == "three\nlittle\nwords\n"
