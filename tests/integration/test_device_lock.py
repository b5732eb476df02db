# SPDX-License-Identifier: MIT
"""Dispatchers that want the same board at the same time, in whole jobs."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_whole_jobs import HEAD
from tests.support.lab import Lab
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.played_board import NAME, TYPE, board_lab
from tests.support.processes import until
from tests.support.sshd import Server

STEPS = [
    "echo began >>@FOLDER@/order",
    "until [ -e @FOLDER@/go ]; do sleep 0.2; done",
    "echo ended >>@FOLDER@/order",
]
TESTDEF = f"{HEAD}run: {{steps: {json.dumps(STEPS)}}}\n"


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    resets = f"echo reset >>{tmp_path}/order"
    with board_lab(tmp_path, sshd, hard_reset_command=resets) as made:
        yield made


def blocking_job(lab: Lab, device_type: str = TYPE) -> Path:
    """A job whose host's test goes on once there is the file ``go``."""
    document = {
        "timeout": 120,
        "job_name": "a long one",
        "vm_group": {"host": {"device_type": device_type}, "vms": [entry("guest")]},
        "actions": [shell_action("blocking.yaml", "host")],
    }
    return write_job(lab, document, blocking=TESTDEF)


def order(lab: Lab) -> list[str]:
    """The resets of the board, and the beginnings and ends of tests on it."""
    path = lab.folder / "order"
    return path.read_text().split() if path.exists() else []


def test_second_dispatcher_names_the_first_and_touches_neither_board_nor_results(
    lab: Lab, sshd: Server
) -> None:
    del sshd
    job = blocking_job(lab)
    first = lab.start(job)
    until(lambda: "began" in order(lab))

    second = lab.finish(lab.start(job))
    (lab.folder / "go").touch()
    ended = lab.finish(first)

    assert second.status == 4, second.stderr
    assert f"lava-dispatch: {NAME} is in use by job 'a long one'" in second.stderr
    assert f"(process {first.pid}, since " in second.stderr
    assert f"results in {ended.output})" in second.stderr
    assert "--wait" in second.stderr
    assert "Traceback" not in second.stderr
    assert ended.status == 0, ended.stderr
    assert order(lab) == ["reset", "began", "ended"]
    # Both were given the same folder.
    assert ended.events[0]["kind"] == "node-start"
    assert [event["kind"] for event in ended.events].count("node-end") == 2


def test_dispatchers_that_wait_run_one_after_the_other(lab: Lab) -> None:
    job = blocking_job(lab)
    first = lab.start(job, "--wait", output="first")
    until(lambda: "began" in order(lab))
    others = {name: lab.start(job, "--wait", output=name) for name in ("second", "third")}
    (lab.folder / "go").touch()

    ended = [lab.finish(first, "first"), *(lab.finish(one, name) for name, one in others.items())]

    assert [one.status for one in ended] == [0, 0, 0], [one.stderr for one in ended]
    assert order(lab) == ["reset", "began", "ended"] * 3
    # The time of a job begins when the board is free.
    one, two, three = sorted((run.events[0]["time"], run.events[-1]["time"]) for run in ended)
    assert one[1] <= two[0]
    assert two[1] <= three[0]


def test_killed_dispatcher_frees_its_board_at_once(lab: Lab) -> None:
    # The board is free; its system removes the files of a job that it has not heard of for so long.
    with (lab.config / f"device-types/{TYPE}.conf").open("a") as config:
        config.write("host_heartbeat_timeout = 4\n")
    job = blocking_job(lab)
    first = lab.start(job, output="first")
    until(lambda: "began" in order(lab))
    first.kill()
    first.wait()
    (lab.folder / "go").touch()

    second = lab.finish(lab.start(job))

    assert second.status == 0, second.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_waiting_dispatcher_says_for_whom_and_is_ended_by_a_signal(
    lab: Lab, number: signal.Signals, status: int
) -> None:
    job = blocking_job(lab)
    first = lab.start(job)
    until(lambda: "began" in order(lab))
    second = lab.start(job, "--wait", output="second")
    assert second.stderr is not None

    said = second.stderr.readline()
    second.send_signal(number)
    ended = lab.finish(second, "second")
    (lab.folder / "go").touch()

    assert f"waiting for {NAME}, which is in use by job 'a long one' (process {first.pid}" in said
    assert ended.status == status, ended.stderr
    assert not ended.output.exists()
    assert lab.finish(first).status == 0
    assert order(lab) == ["reset", "began", "ended"]


def test_waiting_dispatcher_gives_up_when_its_time_is_over(lab: Lab) -> None:
    job = blocking_job(lab)
    first = lab.start(job, output="first")
    until(lambda: "began" in order(lab))
    second = lab.start(job, "--wait", "1", output="second")

    gave_up = lab.finish(second, "second")
    (lab.folder / "go").touch()

    assert gave_up.status == 4, gave_up.stderr
    assert "after 1 s of waiting" in gave_up.stderr
    assert lab.finish(first, "first").status == 0


def test_doctor_does_not_boot_a_board_in_use(lab: Lab) -> None:
    job = blocking_job(lab)
    first = lab.start(job)
    until(lambda: "began" in order(lab))
    words = [sys.executable, "-m", "lava_vmgroup", "doctor", "--config-dir", str(lab.config)]

    doctor = subprocess.run(
        [*words, "--boot", str(job)], capture_output=True, text=True, check=False
    )
    (lab.folder / "go").touch()

    assert doctor.returncode == 4
    assert f"{NAME} is in use by job 'a long one'" in doctor.stderr
    assert lab.finish(first).status == 0
    assert order(lab) == ["reset", "began", "ended"]


def test_host_that_is_up_already_runs_several_jobs_at_once(tmp_path: Path, sshd: Server) -> None:
    with local_lab(tmp_path, sshd) as lab:
        job = blocking_job(lab, "rack")
        text = job.read_text().replace("/tests/%s", "/tests-2/%s")
        (other := job.with_name("other.json")).write_text(text)
        running = {"first": lab.start(job, output="first")}
        running["second"] = lab.start(other, output="second")
        until(lambda: order(lab) == ["began", "began"])
        (lab.folder / "go").touch()

        ended = [lab.finish(process, name) for name, process in running.items()]

    assert [one.status for one in ended] == [0, 0], [one.stderr for one in ended]


def test_scheduler_reads_in_the_log_of_a_sub_job_who_uses_the_board(lab: Lab) -> None:
    job = blocking_job(lab)
    first = lab.start(job)
    until(lambda: "began" in order(lab))
    host = lab.expand(job)[0]

    coordinator = lab.folder / "coordinator.conf"
    coordinator.write_text('{"coordinator_hostname": "127.0.0.1", "port": 1}')
    words = ("--coordinator", str(coordinator))

    second = lab.finish(lab.start(host, *words, output="second"), "second")
    (lab.folder / "go").touch()

    assert second.status == 4, second.stderr
    assert f"{NAME} is in use by job" in (second.output / "output.txt").read_text()
    assert lab.finish(first).status == 0


def test_jobs_at_the_same_time_do_not_write_to_one_directory(tmp_path: Path, sshd: Server) -> None:
    with local_lab(tmp_path, sshd) as lab:
        job = blocking_job(lab, "rack")
        first = lab.start(job)
        until(lambda: order(lab) == ["began"])

        second = lab.finish(lab.start(job))
        (lab.folder / "go").touch()
        ended = lab.finish(first)

    assert second.status == 4, second.stderr
    assert f"another job writes its results to {ended.output}" in second.stderr
    assert ended.status == 0, ended.stderr
    assert ended.results["exit_status"] == 0
