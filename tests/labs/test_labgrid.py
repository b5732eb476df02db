# SPDX-License-Identifier: MIT
"""A host that labgrid's own coordinator shares out, among our jobs and a human."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab, follow
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server, sshd

__all__ = ["sshd"]

CACHE = Path(os.environ.get("LAVA_VMGROUP_CACHE") or Path.home() / ".cache/lava-vmgroup")
BIN = CACHE / "lava-lab/labgrid/bin"
WAITS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: waits, description: for its end}
run:
  steps:
  - lava-test-case begun --result pass
  - sleep SECONDS
"""


class Labgrid:
    """A coordinator with one place, ``rack01``."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"

    def command(self, *words: str) -> str:
        """A command of ``labgrid-client`` for the place."""
        return " ".join([str(BIN / "labgrid-client"), "-x", self.address, "-p", "rack01", *words])

    def human(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same, by somebody at another machine."""
        environment = {**os.environ, "LG_USERNAME": "human", "LG_HOSTNAME": "desk"}
        command = self.command(*words).split()
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    @property
    def holder(self) -> str:
        """The line of the place that names its holder."""
        lines = self.human("show").stdout.splitlines()
        return next((line.strip() for line in lines if "acquired:" in line), "")


@pytest.fixture
def labgrid(tmp_path: Path) -> Iterator[Labgrid]:
    """A running coordinator."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = tmp_path / "coordinator"
    folder.mkdir()
    process = subprocess.Popen([BIN / "labgrid-coordinator", "-l", f"127.0.0.1:{port}"], cwd=folder)
    made = Labgrid(port)
    try:
        limit = time.monotonic() + 60
        while made.human("create").returncode != 0:
            assert time.monotonic() < limit, "labgrid's coordinator did not come up"
            time.sleep(0.5)
        yield made
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def lab(tmp_path: Path, sshd: Server, labgrid: Labgrid) -> Iterator[Lab]:
    """A lab whose host is this machine, and a place of labgrid's."""
    keys = {
        "acquire_command": labgrid.command("acquire"),
        "release_command": labgrid.command("release"),
    }
    with local_lab(tmp_path, sshd, **keys) as made:
        yield made


def job(lab: Lab, seconds: int = 0) -> Path:
    document: dict[str, Any] = {
        "timeout": 120,
        "vm_group": {"host": {"device_type": "rack"}, "vms": [entry("vm")]},
        "actions": [shell_action("test.yaml", "host")],
    }
    return write_job(lab, document, test=WAITS.replace("SECONDS", str(seconds)))


def test_place_is_acquired_for_the_job_and_released_after_it(lab: Lab, labgrid: Labgrid) -> None:
    process = lab.start(job(lab, 5))
    for event in follow(lab.folder / "results/events.jsonl", process):
        if event["kind"] == "test-case":
            break

    taken = labgrid.human("acquire")
    ended = lab.finish(process)

    assert taken.returncode != 0, "the job has it"
    assert ended.status == 0, ended.stderr
    assert labgrid.human("acquire").returncode == 0, labgrid.holder


def test_place_that_a_human_has_ends_the_job_before_it_begins(lab: Lab, labgrid: Labgrid) -> None:
    assert labgrid.human("acquire").returncode == 0

    ended = lab.run(job(lab))

    assert ended.status == 4
    assert "rack01 cannot be acquired" in ended.stderr
    assert "desk/human" in ended.stderr
    assert "desk/human" in labgrid.holder
    assert labgrid.human("release").returncode == 0
    assert lab.run(job(lab)).status == 0


def test_next_job_gets_the_place_of_a_killed_one(lab: Lab, labgrid: Labgrid) -> None:
    process = lab.start(job(lab, 100))
    for event in follow(lab.folder / "results/events.jsonl", process):
        if event["kind"] == "test-case":
            process.kill()
            break
    process.communicate(timeout=60)

    assert lab.finish(lab.start(job(lab), output="next"), "next").status == 0
    assert labgrid.human("acquire").returncode == 0, labgrid.holder


def test_canceled_job_releases_the_place(lab: Lab, labgrid: Labgrid) -> None:
    process = lab.start(job(lab, 100))
    for event in follow(lab.folder / "results/events.jsonl", process):
        if event["kind"] == "test-case":
            process.send_signal(signal.SIGINT)
            break

    assert lab.finish(process).status == 130
    assert labgrid.human("acquire").returncode == 0, labgrid.holder
