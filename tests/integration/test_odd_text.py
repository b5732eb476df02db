# SPDX-License-Identifier: MIT
"""Tests that print bytes that are no text, and outputs that cannot show everything."""

import json
import os
import subprocess
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.lab import Lab
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server

ODD = r"""
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: odd, description: d}
run:
  steps:
    - e=$(printf '\344')
    - cd @FOLDER@
    - echo hello >"file-$e"
    - lava-test-case "latin1-$e" --result fail --measurement 1 --units "$e"
    - lava-test-case-attach "latin1-$e" "file-$e" "text/$e"
    - lava-test-run-attach "file-$e"
    - lava-test-case-metadata key --shell printf '\\344'
    - lava-test-set start "set-$e"
    - lava-test-case inside --result pass
    - lava-test-set stop
"""


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd) as made:
        yield made


def write(lab: Lab) -> Path:
    document = {
        "timeout": 180,
        "vm_group": {"host": {"device_type": "rack"}, "vms": [entry("guest")]},
        "actions": [shell_action("odd.yaml", "host"), shell_action("odd.yaml", "guest")],
    }
    return write_job(lab, document, odd=ODD)


def strict(text: str) -> Any:
    """The JSON data in a text that every reader takes: no halves of characters, no NaN."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    document = json.loads(text, parse_constant=refuse)
    json.dumps(document, ensure_ascii=False).encode()
    return document


def test_files_of_results_are_valid_and_the_status_is_true_on_an_ascii_terminal(lab: Lab) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = lab.command("--output-dir", str(lab.folder / "results"), str(write(lab)))

    ended = subprocess.run(command, capture_output=True, env=environment, cwd="/")

    assert ended.returncode == 1, ended.stderr
    assert b"latin1-\\" in ended.stdout
    assert b"Traceback" not in ended.stderr
    folder = lab.folder / "results"
    document = strict((folder / "results.json").read_text(encoding="ascii"))
    for node in document["nodes"]:
        (run,) = node["runs"]
        assert run["metadata"]["key"]
        failed, passed = sorted(run["cases"], key=itemgetter("result"))
        assert (passed["name"], passed["result"], failed["result"]) == ("inside", "pass", "fail")
        assert failed["name"].startswith("latin1-")
        (attached,) = failed["attachments"]
        assert (folder / attached["path"]).read_text() == "hello\n"
    for bundle in folder.rglob("bundle.json"):
        strict(bundle.read_text(encoding="ascii"))
    for line in (folder / "events.jsonl").read_text(encoding="ascii").splitlines():
        strict(line)
    (folder / "output.txt").read_text(encoding="utf-8")
    names = {case.get("name") for case in ElementTree.parse(folder / "junit.xml").iter("testcase")}
    assert failed["name"] in names


@pytest.mark.parametrize("streams", ["gone", "closed", "full"])
def test_status_is_true_when_nobody_reads_the_output(lab: Lab, streams: str) -> None:
    command = lab.command("--output-dir", str(lab.folder / "results"), str(write(lab)))
    redirected = {"closed": ">&- 2>&- <&-", "full": ">/dev/full 2>/dev/full", "gone": ""}[streams]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirected}', "sh", *command],
            stdout=writing,
            stderr=writing,
            cwd="/",
        )
    finally:
        os.close(writing)

    assert ended.returncode == 1
    assert strict((lab.folder / "results/results.json").read_text())["exit_status"] == 1
