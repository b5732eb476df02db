# SPDX-License-Identifier: MIT
"""A host that labgrid's own coordinator shares out, among our jobs and a human."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.labs.labgrid_lab import PLACE, Labgrid, board_of, coordinator
from tests.support.lab import IMAGES, ROOT, Ended, Lab, follow
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server, sshd

__all__ = ["sshd"]

OURS = r".*/.*-job-[0-9a-f]{6}"
WAITS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: waits, description: for its end}
run:
  steps:
  - lava-test-case begun --result pass
  - sleep SECONDS
"""


@pytest.fixture
def labgrid(tmp_path: Path) -> Iterator[Labgrid]:
    """A running coordinator with two places."""
    with coordinator(tmp_path / "coordinator", PLACE, "board02") as made:
        yield made


@pytest.fixture
def configured(tmp_path: Path, sshd: Server, labgrid: Labgrid) -> Iterator[Callable[..., Lab]]:
    """A function that makes a lab whose host is this machine, with keys about labgrid."""
    labs = []

    def configure(name: str = "lab", **keys: str) -> Lab:
        folder = tmp_path / name
        folder.mkdir()
        lab = local_lab(folder, sshd, labgrid_client=labgrid.client, **keys)
        labs.append(lab)
        made = lab.__enter__()
        (made.config / "lava-dispatcher.conf").write_text(f"LAVA_LOCK_DIR = {folder}/locks\n")
        return made

    yield configure
    for lab in labs:
        lab.__exit__(None, None, None)


@pytest.fixture
def lab(configured: Callable[..., Lab]) -> Lab:
    """A lab whose host is a place of labgrid's."""
    return configured(labgrid_place=PLACE)


def job(lab: Lab, seconds: int = 0) -> Path:
    document: dict[str, Any] = {
        "timeout": 120,
        "vm_group": {"host": {"device_type": "rack"}, "vms": [entry("vm")]},
        "actions": [shell_action("test.yaml", "host")],
    }
    return write_job(lab, document, test=WAITS.replace("SECONDS", str(seconds)))


def until(lab: Lab, process: subprocess.Popen[str], kind: str, output: str = "results") -> None:
    """Wait for an event of a job."""
    events = follow(lab.folder / output / "events.jsonl", process)
    assert any(event["kind"] == kind for event in events), process.communicate()


def in_queue(process: subprocess.Popen[str]) -> bool:
    """Block until a job waits in labgrid's queue."""
    assert process.stderr is not None
    return any("in labgrid's queue" in line for line in process.stderr)


def test_place_is_acquired_for_the_job_and_released_after_it(lab: Lab, labgrid: Labgrid) -> None:
    process = lab.start(job(lab, 5))
    until(lab, process, "test-case")

    taken = labgrid.human("acquire")
    ended = lab.finish(process)

    assert taken.returncode != 0, "the job has it"
    assert ended.status == 0, ended.stderr
    assert labgrid.human("acquire").returncode == 0, labgrid.holder()
    assert not list((lab.folder / "locks").glob("labgrid-*")), "nothing is left to be given back"


def test_place_that_a_human_has_ends_the_job_before_it_begins(lab: Lab, labgrid: Labgrid) -> None:
    assert labgrid.human("acquire").returncode == 0

    ended = lab.run(job(lab))

    assert ended.status == 4
    assert "rack01 cannot be acquired: " in ended.stderr
    assert "desk/human" in ended.stderr
    assert labgrid.holder() == "desk/human"


def test_jobs_of_two_dispatchers_and_a_human_have_the_place_in_turn(
    configured: Callable[..., Lab], labgrid: Labgrid
) -> None:
    assert labgrid.human("acquire").returncode == 0
    labs = [configured(name, labgrid_place=PLACE) for name in ("first", "second")]
    running = [lab.start(job(lab, 2), "--wait") for lab in labs]
    for process in running:
        assert in_queue(process)

    assert labgrid.holder() == "desk/human"
    assert labgrid.human("release").returncode == 0
    labgrid.until(OURS)
    refused = labgrid.human("acquire")
    ended = [lab.finish(process) for lab, process in zip(labs, running, strict=True)]

    assert refused.returncode != 0
    assert [one.status for one in ended] == [0, 0], [one.stderr for one in ended]
    first, second = sorted(held(one) for one in ended)
    assert first[1] <= second[0], "one after the other"
    assert labgrid.human("acquire").returncode == 0, labgrid.holder()


def held(ended: Ended) -> tuple[str, str]:
    """The times of a job's first and last events."""
    times = [event["time"] for event in ended.events]
    return times[0], times[-1]


def test_next_job_gets_the_place_of_a_killed_one(lab: Lab, labgrid: Labgrid) -> None:
    process = lab.start(job(lab, 100))
    until(lab, process, "test-case")
    process.kill()
    process.communicate(timeout=60)
    killed = labgrid.holder()

    ended = lab.finish(lab.start(job(lab), output="next"), "next")

    assert ended.status == 0, ended.stderr
    assert f"giving back what a killed job held in labgrid as {killed}" in ended.stderr
    assert labgrid.human("acquire").returncode == 0, labgrid.holder()


def test_canceled_job_releases_the_place(lab: Lab, labgrid: Labgrid) -> None:
    process = lab.start(job(lab, 100))
    until(lab, process, "test-case")
    process.send_signal(signal.SIGINT)

    assert lab.finish(process).status == 130
    assert labgrid.human("acquire").returncode == 0, labgrid.holder()


def test_job_that_waits_in_the_queue_can_be_canceled(lab: Lab, labgrid: Labgrid) -> None:
    assert labgrid.human("acquire").returncode == 0
    process = lab.start(job(lab), "--wait")
    assert in_queue(process)

    process.send_signal(signal.SIGINT)

    assert lab.finish(process).status == 130
    assert "Reservation" not in labgrid.human("reservations").stdout


def test_place_that_is_not_free_in_time_ends_the_job(lab: Lab, labgrid: Labgrid) -> None:
    assert labgrid.human("acquire").returncode == 0

    ended = lab.finish(lab.start(job(lab), "--wait", "1"))

    assert ended.status == 4
    assert "rack01 cannot be acquired: it was not free within 1 s" in ended.stderr


def test_place_that_somebody_takes_away_ends_the_job(lab: Lab, labgrid: Labgrid) -> None:
    process = lab.start(job(lab, 100))
    until(lab, process, "test-case")

    assert labgrid.human("release", "--kick").returncode == 0
    assert labgrid.human("acquire").returncode == 0
    ended = lab.finish(process)

    assert ended.status == 4
    assert f"the place {PLACE} was taken away by desk/human" in ended.stdout
    assert labgrid.holder() == "desk/human"


def test_coordinator_may_be_restarted_in_a_job(lab: Lab, labgrid: Labgrid) -> None:
    process = lab.start(job(lab, 30))
    until(lab, process, "test-case")

    labgrid.restart()
    assert labgrid.holder() == "None", "labgrid forgets who had a place"
    labgrid.until(OURS)
    ended = lab.finish(process)

    assert ended.status == 0, ended.stderr
    assert f"acquired {PLACE} again: labgrid forgot the job" in ended.stderr
    assert labgrid.holder() == "None"


def test_jobs_with_tags_get_a_place_each(configured: Callable[..., Lab], labgrid: Labgrid) -> None:
    lab = configured(labgrid_tags="board=emulated")
    path = job(lab, 3)
    processes = {name: lab.start(path, output=name) for name in ("one", "two", "three")}

    ended = {name: lab.finish(process, name) for name, process in processes.items()}

    assert {one.status for one in ended.values()} == {0}, [one.stderr for one in ended.values()]
    hosts = [one.results["nodes"][0]["attributes"] for one in ended.values()]
    assert {host["labgrid_place"] for host in hosts} == {PLACE, "board02"}
    assert [labgrid.holder(place) for place in (PLACE, "board02")] == ["None", "None"]
    assert "Reservation" not in labgrid.human("reservations").stdout


@pytest.mark.parametrize(
    ("keys", "status", "words"),
    [
        ({"labgrid_place": "board09"}, 4, "place pattern board09 matches nothing"),
        ({"labgrid_place": "board0"}, 4, "pattern board0 matches multiple places"),
        ({"labgrid_place": "oard01"}, 4, "labgrid has no place 'oard01'; it has 'board01'"),
        ({"labgrid_tags": "board=none"}, 3, "labgrid has no place with board=none"),
        ({"labgrid_tags": "board"}, 3, "labgrid_tags: expected pairs like board=imx8"),
        ({"labgrid_place": PLACE, "labgrid_tags": "a=b"}, 3, "exclude each other"),
    ],
)
def test_places_that_do_not_fit_are_named(
    configured: Callable[..., Lab], keys: dict[str, str], status: int, words: str
) -> None:
    lab = configured(**keys)

    ended = lab.run(job(lab))

    assert ended.status == status
    assert words in ended.stderr


def test_coordinator_that_is_away_is_said(configured: Callable[..., Lab]) -> None:
    lab = configured(labgrid_place=PLACE)
    file = lab.config / "device-types/rack.conf"
    file.write_text(file.read_text().replace("127.0.0.1:", "127.0.0.1:1", 1))

    ended = lab.run(job(lab))

    assert ended.status == 4
    assert "rack01 cannot be acquired: " in ended.stderr


@pytest.fixture
def board(tmp_path: Path, labgrid: Labgrid) -> Iterator[Lab]:
    """A lab whose emulated board has its console and its power switch by labgrid alone."""
    with board_of(labgrid, tmp_path / "lab") as made:
        device = made.config / "devices/board01.conf"
        own = [line for line in device.read_text().splitlines() if is_no_command(line)]
        documented = (ROOT / "examples/labgrid/board01.conf").read_text()
        keys = {line.partition(" = ")[0] for line in documented.splitlines()}
        own = [line for line in own if line.partition(" = ")[0] not in keys]
        client = f"labgrid_client = {labgrid.client}"
        device.write_text("\n".join([documented, *own, client, ""]))
        yield made


def is_no_command(line: str) -> bool:
    return not line.partition(" = ")[0].endswith(("_command", "_cmd"))


def test_board_is_used_by_labgrids_console_and_power_switch(board: Lab, labgrid: Labgrid) -> None:
    process = board.start(group(board), "--target", "board01")
    until(board, process, "test-case")
    console = labgrid.human("console")
    power = labgrid.human("power", "off")
    ended = board.finish(process)

    assert ended.status == 0, ended.stdout + ended.stderr
    assert {node["role"]: len(node["runs"]) for node in ended.results["nodes"]} == {
        "host": 1,
        "guest": 1,
    }
    assert "place board01 is not acquired by your user" in console.stderr
    assert "place board01 is not acquired by your user" in power.stderr
    assert labgrid.holder() == "None"
    assert not (board.board / "qemu.pid").exists(), "the board is off"


def test_board_that_is_taken_away_stays_as_it_is(board: Lab, labgrid: Labgrid) -> None:
    own = board.config / "devices/board01.conf"
    process = board.start(group(board, 100), "--host", "labgrid://board01", "--config", str(own))
    until(board, process, "test-case")

    assert labgrid.human("release", "--kick").returncode == 0
    assert labgrid.human("acquire").returncode == 0
    ended = board.finish(process)

    assert ended.status == 4
    assert "the place board01 was taken away by desk/human" in ended.stdout
    assert (board.board / "qemu.pid").exists(), "the board is still on"


def group(board: Lab, seconds: int = 0) -> Path:
    """A job that deploys the board's own image, and starts a VM on it."""
    image = {"image": str(IMAGES / "host.img"), "role": "host"}
    vm = {"device_type": "kvm-aarch64", "role": "guest", "image": str(IMAGES / "vm-arm64.img")}
    document: dict[str, Any] = {
        "timeout": 500,
        "vm_group": {"host": {"device_type": "emulated-arm64"}, "vms": [vm]},
        "actions": [
            {"command": "deploy_linaro_image", "parameters": image},
            {"command": "lava_test_shell", "parameters": {"testdef_urls": ["testdef.yaml"]}},
        ],
    }
    return board.write_job(document, WAITS.replace("SECONDS", str(seconds)))
