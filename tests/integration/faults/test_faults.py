# SPDX-License-Identifier: MIT
"""A job always ends, always says why, and leaves nothing behind."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.scratch import scratch_folder
from tests.integration.faults.injectors import inject, plot, prepare
from tests.integration.faults.matrix import MATRIX, Fault, Outcome, Phase
from tests.integration.faults.scene import Scene, scene
from tests.support.lab import Ended, token_coordinator
from tests.support.sshd import Server
from tests.support.supervised import supervised

WHOLE_JOBS = [
    pytest.param(phase, fault, outcome, id=f"{phase.value}-{fault.value}")
    for fault, row in MATRIX.items()
    for phase, outcome in row.items()
    if isinstance(outcome, Outcome) and fault is not Fault.COORDINATOR_GONE
]
VERDICTS = {"started": ("pass", None), "good": ("pass", None), "counted": ("pass", "7")}
"""Of the guest's test cases, whatever else is on its console: the result, and what was measured."""
SUB_JOBS = [
    pytest.param(phase, outcome, id=f"{phase.value}-{Fault.COORDINATOR_GONE.value}")
    for phase, outcome in MATRIX[Fault.COORDINATOR_GONE].items()
    if isinstance(outcome, Outcome)
]


@pytest.fixture
def stage(
    images: None, tmp_path: Path, sshd: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    with scene(tmp_path, sshd) as made:
        monkeypatch.setenv("TMPDIR", str(made.dispatcher_folder))
        yield made


@pytest.mark.parametrize(("phase", "fault", "outcome"), WHOLE_JOBS)
def test_job_ends_says_why_and_leaves_nothing(
    phase: Phase, fault: Fault, outcome: Outcome, stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(phase, fault, stage)
    process = stage.lab.start(stage.write(plot(phase, fault)))

    inject(phase, fault, stage)

    ended = stage.lab.finish(process)
    assert ended.status == outcome.status, ended.stderr
    if fault is Fault.DISPATCHER_KILLED:
        monkeypatch.setattr(tempfile, "tempdir", str(stage.dispatcher_folder))
        with scratch_folder():
            pass
    else:
        assert_told(ended, outcome)
    if fault is Fault.GARBAGE:
        assert verdicts(ended) == VERDICTS
    if fault is Fault.HOST_REBOOTED:
        with supervised(stage.sshd, stage.lab.folder / "vms", "next"):
            pass
    stage.assert_nothing_is_left()


@pytest.mark.parametrize(("phase", "outcome"), SUB_JOBS)
def test_sub_jobs_end_without_their_coordinator(
    phase: Phase, outcome: Outcome, stage: Scene
) -> None:
    prepare(phase, Fault.COORDINATOR_GONE, stage)
    with token_coordinator(stage.lab.folder) as coordinator:
        path = stage.write(plot(phase, Fault.COORDINATOR_GONE))
        started = stage.lab.start_sub_jobs(path, coordinator.address[1])
        stage.output = "results-1"
        stage.reach(phase)

        coordinator.process.terminate()

        host, vm = [
            stage.lab.finish(process, f"results-{number}") for number, process in started.items()
        ]
    assert host.status == outcome.status, host.stderr
    assert vm.status in outcome.vm_status, vm.stderr
    states = tuple(one.results["nodes"][0]["state"] for one in (host, vm))
    assert states == outcome.states
    assert_says(host, outcome)
    stage.assert_nothing_is_left()


def assert_told(ended: Ended, outcome: Outcome) -> None:
    """The results say how every node ended, and the cause."""
    nodes = ended.results["nodes"]
    assert tuple(node["state"] for node in nodes) == outcome.states
    if outcome.error:
        assert_says(ended, outcome)
    else:
        assert ended.results["cause"] is None


def assert_says(ended: Ended, outcome: Outcome) -> None:
    """The cause is of the right class, and told in the results and to who looks on."""
    cause = ended.results["cause"]
    assert cause["class"] == outcome.error
    assert outcome.says in cause["message"]
    assert outcome.says in " ".join(ended.stderr.split())


def verdicts(ended: Ended) -> dict[str, tuple[str, str | None]]:
    """Return the result and the measurement of each test case of the guest."""
    cases = [case for run in ended.results["nodes"][1]["runs"] for case in run["cases"]]
    return {case["name"]: (case["result"], case["measurement"]) for case in cases}
