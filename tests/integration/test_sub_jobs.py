# SPDX-License-Identifier: MIT
"""Sub-jobs in processes of their own, called as LAVA's scheduler calls them.

The host's board has a console that says nothing, so the group never gets further than booting.
"""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.config.coordinator import CoordinatorConfig
from lava_vmgroup.multinode.status import ask_status
from tests.support.dashboard import TOKEN, Dashboard, dashboard
from tests.support.lab import coordinator, follow
from tests.support.processes import end, said

TESTDEF = "metadata: {format: x, name: t, description: d}\nrun: {steps: ['true']}\n"
LIMIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A folder with a configuration, a job, and a coordinator."""

    folder: Path
    port: int
    stack: ExitStack

    def write_job(self, *submissions: dict[str, Any]) -> Path:
        (self.folder / "t.yaml").write_text(TESTDEF)
        (self.folder / "vm.img").write_bytes(bytes(512))
        vm = {"device_type": "kvm-arm", "role": "guest", "image": "vm.img", "count": 2}
        test = {"command": "lava_test_shell", "parameters": {"testdef_urls": ["t.yaml"]}}
        document = {
            "timeout": 900,
            "job_name": "a group",
            "vm_group": {"host": {"device_type": "mute"}, "vms": [vm]},
            "actions": [test, *submissions],
        }
        path = self.folder / "job.json"
        path.write_text(json.dumps(document))
        return path

    def configure(self, **keys: str) -> None:
        """Describe the lab's only board."""
        board = {
            "client_type": "bootloader",
            "connection_command": "cat",
            "connection_command_pattern": "",
            "boot_cmds": "boot",
            "hard_reset_command": "true",
            "power_off_cmd": f"echo off >>{self.folder}/power",
            **keys,
        }
        lab = self.folder / "lab"
        for kind in ("devices", "device-types"):
            (lab / kind).mkdir(parents=True)
        text = "".join(f"{key} = {value}\n" for key, value in board.items())
        (lab / "device-types/mute.conf").write_text(text)
        (lab / "devices/mute01.conf").write_text("device_type = mute\n")
        (lab / "lava-dispatcher.conf").write_text(f"LAVA_LOCK_DIR = {self.folder}/locks\n")
        settings = {
            "coordinator_hostname": "127.0.0.1",
            "port": self.port,
            "token_file": "../token",
        }
        (lab / "lava-coordinator.conf").write_text(json.dumps(settings))

    def expand(self, job: Path) -> list[Path]:
        folder = self.folder / "jobs"
        done = dispatch("--expand-to", folder, "--job-id", "17", job)
        assert done.returncode == 0, done.stderr
        return [Path(line) for line in done.stdout.splitlines()]

    def start(self, job: Path, *options: str, **more: Any) -> subprocess.Popen[str]:
        """Start a sub-job; it is ended with the lab if it runs then."""
        command = [sys.executable, "-m", "lava_vmgroup", str(job)]
        command += ["--config-dir", str(self.folder / "lab")]
        command += ["--output-dir", str(self.output(job)), *options]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", **more
        )
        self.stack.callback(end, process)
        return process

    def output(self, job: Path) -> Path:
        return self.folder / f"out-{job.stem}"

    def wait_for(self, job: Path, process: subprocess.Popen[str], state: str) -> None:
        events = follow(self.output(job) / "events.jsonl", process)
        assert any(event.get("state") == state for event in events), said(process)

    def results(self, job: Path) -> Any:
        return json.loads((self.output(job) / "results.json").read_text())


def dispatch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lava_vmgroup", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with coordinator(tmp_path) as port, ExitStack() as stack:
        yield Lab(folder=tmp_path, port=port, stack=stack)


@pytest.fixture
def board() -> Iterator[Dashboard]:
    with dashboard() as made:
        yield made


def test_sub_jobs_are_files_for_nobody_else_and_replace_nothing(lab: Lab) -> None:
    paths = lab.expand(lab.write_job())

    assert [path.name for path in paths] == ["17.0.json", "17.1.json", "17.2.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    again = dispatch("--expand-to", lab.folder / "jobs", "--job-id", "17", lab.folder / "job.json")
    assert again.returncode == 3
    assert "17.0.json: File exists" in again.stderr
    assert dispatch("--expand-to", lab.folder / "more", paths[0]).returncode == 2


def test_host_that_fails_ends_vms_of_other_processes(lab: Lab) -> None:
    lab.configure(hard_reset_command="echo no power; exit 3", boot_retries="1")
    jobs = lab.expand(lab.write_job())

    started = [lab.start(job) for job in jobs]
    ended = [process.communicate(timeout=LIMIT_S) for process in started]

    assert [process.returncode for process in started] == [4, 6, 6], ended
    for job in jobs[1:]:
        (node,) = lab.results(job)["nodes"]
        assert "mute01 failed: hard_reset_command failed" in node["error"]["message"]
    group = lab.results(jobs[0])
    assert [node["name"] for node in group["nodes"]] == ["mute01", "vm2-job17.1", "vm1-job17.2"]
    assert group["cause"]["message"].startswith("hard_reset_command failed")
    assert (lab.folder / "power").read_text() == "off\n"


def test_host_that_is_killed_ends_vms_of_other_processes(lab: Lab) -> None:
    lab.configure()
    jobs = lab.expand(lab.write_job())
    host, *vms = [lab.start(job) for job in jobs]
    for job, process in zip(jobs[1:], vms, strict=True):
        lab.wait_for(job, process, "waiting for the host")

    host.kill()
    ended = [process.communicate(timeout=LIMIT_S) for process in vms]

    assert [process.returncode for process in vms] == [6, 6], ended
    for job in jobs[1:]:
        (node,) = lab.results(job)["nodes"]
        assert "mute01 failed: its connection to the coordinator broke" in node["error"]["message"]


def test_every_step_of_the_schedulers_ladder_is_listened_to(lab: Lab) -> None:
    lab.configure()
    jobs = lab.expand(lab.write_job())
    started = [lab.start(job) for job in jobs]
    for job, process in zip(jobs[1:], started[1:], strict=True):
        lab.wait_for(job, process, "waiting for the host")

    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        # Nobody hears of a peer's end before its own signal has come, however busy the machine is.
        for step in (signal.SIGSTOP, number, signal.SIGCONT):
            for process in started:
                process.send_signal(step)
        time.sleep(0.2)  # the kernel folds equal signals that come at once into one
    for process in started:
        process.communicate(timeout=LIMIT_S)

    assert [process.returncode for process in started] == [130, 130, 130]
    assert lab.results(jobs[0])["nodes"][0]["state"] == "Canceled"
    assert (lab.folder / "power").read_text() == "off\n"


def test_group_is_submitted_by_its_first_node_and_said_out_of_band(
    lab: Lab, board: Dashboard
) -> None:
    lab.configure(hard_reset_command="exit 3", boot_retries="1")
    parameters = {"server": board.server, "stream": "/anonymous/x/", "token": TOKEN}
    jobs = lab.expand(lab.write_job({"command": "submit_results", "parameters": parameters}))
    reading, writing = os.pipe()

    host = lab.start(jobs[0], "--oob-fd", str(writing), pass_fds=[writing])
    vms = [lab.start(job) for job in jobs[1:]]
    os.close(writing)
    for process in (host, *vms):
        process.communicate(timeout=LIMIT_S)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()

    assert board.calls == ["put_pending", "put_pending", "put_group"]
    (bundle,) = board.published
    assert {run["attributes"]["target"] for run in bundle["test_runs"]} == {
        "mute01",
        "vm1-job17.2",
        "vm2-job17.1",
    }
    assert [line.partition(":")[0] for line in lines] == [
        "dashboard-put-pending",
        "dashboard-put-pending",
        "dashboard-group",
    ]
    url = (lab.output(jobs[0]) / "result-bundle").read_text()
    assert lines[-1] == f"dashboard-group: {url} a group"
    assert TOKEN not in "".join(
        path.read_text(errors="replace") for path in lab.folder.glob("out-*/**/*") if path.is_file()
    )


def test_vm_is_described_by_the_schedulers_file(lab: Lab) -> None:
    lab.configure()
    (_, job, _) = lab.expand(lab.write_job())
    document = json.loads(job.read_text())
    del document["config"]
    job.write_text(json.dumps(document))
    config = lab.folder / "17.1.conf"
    config.write_text("device_type=dynamic-vm\ndynamic_vm_backend_device_type=kvm-arm\n")

    assert lab.start(job, "--validate").wait() == 2
    assert lab.start(job, "--validate", "--config", str(config)).wait() == 0


def test_group_that_waits_is_seen_in_the_status(lab: Lab) -> None:
    lab.configure()
    jobs = lab.expand(lab.write_job())
    process = lab.start(jobs[1])
    endpoint = CoordinatorConfig(
        coordinator_hostname="127.0.0.1", port=lab.port, token_file=lab.folder / "token"
    ).endpoint()

    groups: Any = []
    while not groups:
        assert process.poll() is None
        groups = ask_status(endpoint, Deadline.after("the status", LIMIT_S))

    assert "vm2-job17.1" in json.dumps(groups)
    assert "guest" in json.dumps(groups)


def test_log_has_lavas_form(lab: Lab) -> None:
    lab.configure(hard_reset_command="exit 3", boot_retries="1")
    jobs = lab.expand(lab.write_job())
    for process in [lab.start(job) for job in jobs]:
        process.communicate(timeout=LIMIT_S)

    lines = (lab.output(jobs[0]) / "output.txt").read_text().splitlines()

    form = re.compile(
        r"<LAVA_DISPATCHER>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [AP]M (INFO|WARNING|ERROR): \S.*"
    )
    assert all(form.fullmatch(line) for line in lines), lines
    assert any("[ACTION-B] " in line for line in lines)
    assert any("[ACTION-E] " in line for line in lines)


def test_wrong_configuration_is_said_where_a_scheduler_looks(lab: Lab) -> None:
    lab.configure()
    (lab.folder / "lab/lava-coordinator.conf").write_text('{"port": "many"}')
    (host, *_) = lab.expand(lab.write_job())

    assert lab.start(host).wait() == 3

    said = (lab.output(host) / "output.txt").read_text()
    assert said.startswith("Configuration error: ")
    assert "lava-coordinator.conf" in said
