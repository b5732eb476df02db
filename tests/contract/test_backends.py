# SPDX-License-Identifier: MIT
"""The rules for a VM of every kind, from its fit to its removal.

The kind ``toy``, a shell on a terminal, is no part of the package: it is found by its name.
"""

import json
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.vms import backends
from tests.support.lab import Lab, follow
from tests.support.leftovers import jobs_on_host
from tests.support.local_lab import (
    guest,
    guest_actions,
    local_lab,
    only_programs,
    shell_action,
    write_job,
)
from tests.support.processes import said, until
from tests.support.sshd import Server

ROOT = Path(__file__).parents[1]
IMAGE = ROOT / "broken/files/disk.img"
HEAD = "metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}\n"
TEST = f"""{HEAD}
run:
  steps:
    - lava-test-case in-a-terminal --shell tty
    - lava-test-case fails --result fail
    - echo kept >file
    - lava-test-run-attach file
    - lava-send done
"""
WAITING = f"""{HEAD}
run:
  steps:
    - sleep 600 >/dev/null 2>&1 &
    - lava-test-case begun --result pass
    - lava-wait never
"""


KINDS = sorted(
    module.name for module in pkgutil.iter_modules(backends.__path__) if "_" not in module.name
)


@pytest.fixture(params=["toy", *KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(images: None, tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd, host_heartbeat_timeout=3) as made:
        text = "client_type = toy\nconsole_silence = 60\n"
        (made.config / "device-types/kvm.conf").write_text(text)
        yield replace(made, program=(str(ROOT / "support/with_toy.py"),))
        until(lambda: jobs_on_host(made) == set())
        assert [one.name for one in (made.folder / "vms").glob("*")] in ([], ["sha256"])
        assert made.processes() == []


def job(lab: Lab, kind: str, test: str) -> Path:
    vms: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
        "toy": (
            {"device_type": "kvm", "role": "vm", "shell_prompt": "toy> "},
            [
                {
                    "command": "deploy_linaro_image",
                    "parameters": {"image": str(IMAGE), "role": "vm"},
                }
            ],
        ),
        "qemu": (guest("vm"), guest_actions("vm")),
    }
    vm, deployment = vms[kind]
    document = {
        "timeout": 180,
        "vm_group": {"host": {"device_type": "rack"}, "vms": [vm]},
        "actions": [*deployment, shell_action("test.yaml", "vm")],
    }
    return write_job(lab, document, test=test)


def begun(lab: Lab, process: subprocess.Popen[str]) -> None:
    for event in follow(lab.folder / "results/events.jsonl", process):
        if event["kind"] == "test-case":
            return
    raise AssertionError(said(process))


def test_vm_runs_its_tests_and_leaves(lab: Lab, kind: str) -> None:
    ended = lab.run(job(lab, kind, TEST))

    assert ended.status == 1, ended.stderr
    _, vm = ended.results["nodes"]
    (run,) = vm["runs"]
    assert [(case["name"], case["result"]) for case in run["cases"]] == [
        ("in-a-terminal", "pass"),
        ("fails", "fail"),
    ]
    assert "file" in [Path(one["pathname"]).name for one in run["attachments"]]
    assert ended.results["uploads"]


def test_doctor_asks_for_what_the_kind_needs(lab: Lab, kind: str) -> None:
    path = job(lab, kind, TEST)
    words = [*lab.program, "doctor", "--json", "--config-dir", str(lab.config), str(path)]

    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout
    found = {one["what"] for one in json.loads(done.stdout)["findings"]}
    assert any("QEMU" in what for what in found) == (kind == "qemu")


def test_vm_of_a_canceled_job_is_removed(lab: Lab, kind: str) -> None:
    process = lab.start(job(lab, kind, WAITING))
    begun(lab, process)

    process.send_signal(signal.SIGINT)

    assert lab.finish(process).status == 130


def test_vm_of_a_killed_dispatcher_is_removed_by_the_supervisor(lab: Lab, kind: str) -> None:
    process = lab.start(job(lab, kind, WAITING))
    begun(lab, process)

    process.kill()

    said(process)


def test_host_that_does_not_fit_is_refused_before_anything_is_sent(lab: Lab, sshd: Server) -> None:
    only_programs(sshd, lambda name: name != "taskset")

    ended = lab.run(job(lab, "toy", TEST))

    assert ended.status == 4
    assert "the host has no taskset" in ended.stderr
    assert ended.results["uploads"] == []


def test_program_that_ends_early_is_told_with_its_words(lab: Lab, sshd: Server) -> None:
    only_programs(sshd, replaced={"python3": "#!/bin/sh\necho 'no terminal left' >&2\nexit 1\n"})

    ended = lab.run(job(lab, "toy", TEST))

    assert ended.status == 4
    assert "the shell ended: no terminal left" in ended.stderr
    assert json.loads((ended.output / "results.json").read_text())["nodes"][1]["runs"] == []
