# SPDX-License-Identifier: MIT
"""A group as a docker test of a job that LAVA's own ``lava-run`` carries out.

Its log has the results as LAVA's own code has read them.  Only the container is missing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import docker_stand_in, lava_packages, lava_run
from tests.support.lab import ROOT, Lab
from tests.support.lava_v2 import device, ours, recorded, render
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server, sshd

__all__ = ["sshd"]

RECORDS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: records, description: all kinds}
run:
  steps:
  - lava-test-set start first
  - lava-test-case in-a-set --shell true
  - lava-test-set stop first
  - lava-test-case speed --result pass --measurement 1.5 --units MB/s
  - lava-test-case known-to-fail --result fail
  - lava-test-case later --result skip
  - lava-test-case "odd name (1)" --result unknown
"""
DIES = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: dies, description: of itself}
run:
  steps:
  - lava-test-case begun --result pass
  - lava-test-raise out of luck
"""


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    """A lab whose host is this machine."""
    with local_lab(tmp_path, sshd) as made:
        types = made.config / "device-types"
        # LAVA says the type of its device.
        (types / "rack.conf").rename(types / "qemu.conf")
        yield made


class LavaJob:
    """A job that LAVA has carried out."""

    def __init__(self, lab: Lab, *options: str) -> None:
        self.lab = lab
        packages = lava_packages.newest()
        for name in ("tmp", "bin", "out"):
            (lab.folder / name).mkdir()
        (lab.folder / "bin/docker").symlink_to(docker_stand_in.__file__)
        command = f"{sys.executable} -m lava_vmgroup --inside-lava --config-dir {lab.config}"
        words = [command, *options, f"--output-dir {lab.folder}/results", f"{lab.folder}/job.json"]
        self._write_job(" ".join(words))
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{packages / lava_packages.DIST_PACKAGES}",
            "PATH": f"{lab.folder}/bin:{os.environ['PATH']}",
        }
        run = [sys.executable, lava_run.__file__, str(lab.folder / "tmp"), "--job-id", "1"]
        run += ["--output-dir", str(lab.folder / "out"), "--skip-sudo-warning"]
        run += ["--device", str(lab.folder / "device.yaml"), str(lab.folder / "lava.yaml")]
        done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120)
        self.said = done.stdout + done.stderr
        self.status = done.returncode
        log = yaml.safe_load((lab.folder / "out/logs.yaml").read_text())
        self.recorded = recorded(log)
        self.end: Any = [line["msg"] for line in log if line["lvl"] == "results"][-1]
        """LAVA's result of the job as a whole."""

    def _write_job(self, step: str) -> None:
        folder = self.lab.folder
        overlay = f"{folder}/lava-%s"
        text = device(
            "qemu",
            connection_list=["uart0"],
            lava_test_results_dir=overlay,
            connection_commands={"uart0": "sleep 1"},
            connection_tags={"uart0": ["primary"]},
        )
        render({folder / "device.yaml": text})
        definition = {
            "metadata": {"format": "Lava-Test Test Definition 1.0", "name": "vm-group"},
            "run": {"steps": [step]},
        }
        inline = {"from": "inline", "name": "vm-group", "path": "x.yaml", "repository": definition}
        test = {"docker": {"image": "lava-vmgroup", "local": True}, "definitions": [inline]}
        job = {
            "job_name": "group",
            "timeouts": {"job": {"minutes": 2}, "action": {"minutes": 2}},
            "visibility": "public",
            "actions": [{"test": test}],
        }
        (folder / "lava.yaml").write_text(yaml.safe_dump(job))


def run(lab: Lab, definition: str, *options: str) -> LavaJob:
    """Run a group of a host and a VM with this test on the VM."""
    document = {
        "timeout": 120,
        "vm_group": {"host": {"device_type": "qemu"}, "vms": [entry("guest")]},
        "actions": [shell_action("test.yaml", "guest")],
    }
    write_job(lab, document, test=definition)
    return LavaJob(lab, *options)


def test_lava_reads_our_results_as_they_are(lab: Lab) -> None:
    job = run(lab, RECORDS)

    assert job.status == 0, job.said
    mine = ours(lab.folder / "results")
    assert len(mine) == 5
    assert job.recorded == {
        case._replace(name=case.name.replace(" ", "_").replace("(", "_").replace(")", "_"))
        for case in mine
    }
    assert job.end["result"] == "pass"


@pytest.mark.parametrize(
    ("definition", "options", "reason"),
    [
        (DIES, [], "status 7: vm1-job0.1: lava_test_shell: .*out of luck"),
        (RECORDS, ["--time-limit", "0.1"], "status 5: .*timed out: .* limit 0.1 s"),
        (RECORDS, ["--target", "nosuch"], "status 3: there is no device 'nosuch'"),
        ("", [], r"status 2: the job is not valid; actions\[0\].*: expected a mapping"),
    ],
)
def test_lava_has_the_reason_of_a_group_that_could_not_run(
    lab: Lab, definition: str, options: list[str], reason: str
) -> None:
    job = run(lab, definition, *options)

    assert job.status != 0
    assert job.end["result"] == "fail"
    assert job.end["error_type"] == "Test"
    assert re.search(f"lava-dispatch ended with {reason}", job.end["error_msg"]), job.end
