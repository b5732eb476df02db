# SPDX-License-Identifier: MIT
"""The job of ``examples/git-repository``: a repository goes to host and VM, files come back."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.lab import IMAGES, ROOT, Lab

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


def make_job(folder: Path) -> Path:
    """The example's job, with the images where they are."""
    text = (EXAMPLE / "job.json").read_text().replace("../emulated-board/images", str(IMAGES))
    path = folder / "job.json"
    path.write_text(text)
    return path


def test_files_come_back_from_host_and_vm(lab: Lab) -> None:
    commit = make_repository(lab.folder / "tests")

    ended = lab.run(make_job(lab.folder))

    assert ended.status == 0, ended.stderr
    nodes = {node["role"]: node for node in ended.results["nodes"]}
    assert nodes.keys() == {"host", "guest"}
    for node in nodes.values():
        (run,) = node["runs"]
        check_run(run, commit)
    events = [json.loads(line) for line in (ended.output / "events.jsonl").open()]
    assert [event for event in events if event["kind"] in ("collect", "overlay", "testdef")] == []
    assert lab.traces() == []


def check_run(run: dict[str, Any], commit: str) -> None:
    assert run["name"] == "count-words"
    assert run["finished"]
    assert (run["metadata"]["location"], run["metadata"]["version"]) == ("GIT", commit)
    assert run["metadata"]["kernel"] == "Linux"
    cases = [
        (case["name"], case["result"], case["measurement"], case["units"]) for case in run["cases"]
    ]
    assert cases == [
        ("count", "pass", None, None),
        ("not-empty", "pass", None, None),
        ("words", "pass", "3", "words"),
        ("format", "skip", None, None),
        ("by-a-tool", "pass", None, None),
    ]
