# SPDX-License-Identifier: MIT
"""A job whose dispatcher's clock is set while it runs."""

import os
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.lab import Ended, Lab
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server

SETTING = """
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}
run:
  steps:
    - lava-test-case before --result pass
    - "until grep -q 'before: pass' @FOLDER@/results/events.jsonl; do sleep 0.1; done"
    - echo '@STEP@' >@FOLDER@/clock.new
    - mv @FOLDER@/clock.new @FOLDER@/clock
    - lava-test-case after --result pass
"""
HOUR_S = 3600.0


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd) as made:
        yield made


def run(lab: Lab, step: str) -> Ended:
    """Run a job whose test sets the dispatcher's clock, and no other one."""
    document = {
        "timeout": 180,
        "vm_group": {"host": {"device_type": "rack"}, "vms": [entry("guest")]},
        "actions": [shell_action("t.yaml", "host"), shell_action("t.yaml", "host")],
    }
    path = write_job(lab, document, t=SETTING.replace("@STEP@", step))
    clock = lab.folder / "clock"
    clock.write_text("+0\n")
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    output = lab.folder / "results"
    command = lab.command("--output-dir", str(output), str(path))
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")
    return Ended(status=ended.returncode, stdout=ended.stdout, stderr=ended.stderr, output=output)


@pytest.mark.parametrize("step", ["+1h", "-1h"])
def test_clock_that_is_set_changes_no_duration_and_no_order(lab: Lab, step: str) -> None:
    ended = run(lab, step)

    assert ended.status == 0, ended.stderr
    (host, _) = ended.results["nodes"]
    moments = [
        host["started_at"],
        *(case["recorded_at"] for run in host["runs"] for case in run["cases"]),
    ]
    assert len(moments) == 5
    assert moments == sorted(moments)
    report = ElementTree.parse(ended.output / "junit.xml")
    assert all(float(case.get("time", "nan")) < HOUR_S for case in report.iter("testcase"))
    assert all(0 <= float(suite.get("time", "nan")) < HOUR_S for suite in report.iter("testsuite"))
    times = [event["time"] for event in ended.events]
    assert all(one <= other for one, other in pairwise(times))
    assert f"clock was set by {step[0]}3600 s" in ended.stderr
