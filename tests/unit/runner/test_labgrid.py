# SPDX-License-Identifier: MIT
"""A place of labgrid's is held for a job, watched, and given back."""

from __future__ import annotations

import json
import queue
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    Canceled,
    ConfigurationError,
    DeviceInUse,
    DeviceTaken,
    InfrastructureError,
)
from lava_vmgroup.runner import labgrid_client as client_module
from lava_vmgroup.runner.labgrid import is_held, watched
from tests.support import labgrid_client
from tests.unit.runner.quick_labgrid import Labgrid


def test_place_is_held_within_the_block_under_a_name_of_the_jobs_own(
    labgrid: Labgrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_HOSTNAME", "dispatcher7")
    monkeypatch.setenv("LG_USERNAME", "alice")

    with labgrid.holding(labgrid.device(labgrid_place="board02")) as held:
        holder = f"dispatcher7/{held.environment['LG_USERNAME']}"
        assert holder.startswith("dispatcher7/alice-job-")
        assert labgrid.holders == [None, holder]
        assert held.environment["LG_PLACE"] == "board02"
        assert held.environment["LG_HOSTNAME"] == "dispatcher7"

    assert labgrid.holders == [None, None]
    assert labgrid.notes == []


def test_place_of_somebody_else_is_refused_and_stays_theirs(labgrid: Labgrid) -> None:
    labgrid.human("acquire")

    with (
        pytest.raises(InfrastructureError, match="rack cannot be acquired: .*by desk/human"),
        labgrid.holding(labgrid.device(labgrid_place="board01")),
    ):
        pytest.fail("it is not ours")

    assert labgrid.holders == ["desk/human", None]
    assert labgrid.notes == []


def test_queue_is_left_when_its_time_is_over(labgrid: Labgrid) -> None:
    labgrid.human("acquire")

    with (
        pytest.raises(DeviceInUse, match="it was not free within 1 s"),
        labgrid.holding(labgrid.device(labgrid_place="board01"), wait_s=1.0),
    ):
        pytest.fail("it is not ours")

    assert labgrid.reservations == []


def test_queue_is_left_when_the_job_is_canceled(labgrid: Labgrid) -> None:
    labgrid.human("acquire")

    def pause(seconds: float) -> None:
        time.sleep(seconds)
        if labgrid.reservations:
            raise Canceled("canceled by SIGINT", signal_number=2)

    device = labgrid.device(labgrid_place="board01")
    with pytest.raises(Canceled), labgrid.holding(device, wait_s=600.0, pause=pause):
        pytest.fail("it is not ours")

    assert labgrid.reservations == []
    assert labgrid.holders == ["desk/human", None]


def test_place_is_had_after_its_holder_has_released_it(labgrid: Labgrid) -> None:
    labgrid.human("acquire")

    def pause(seconds: float) -> None:
        time.sleep(seconds)
        if labgrid.reservations and labgrid.holders[0] == "desk/human":
            labgrid.human("release")

    device = labgrid.device(labgrid_place="board01")
    with labgrid.holding(device, wait_s=600.0, pause=pause):
        assert labgrid.holders[0] is not None

    assert labgrid.holders == [None, None]


@pytest.mark.parametrize("keys", [{"labgrid_place": "board0"}, {"labgrid_place": "oard01"}])
def test_part_of_a_name_is_no_place(labgrid: Labgrid, keys: dict[str, str]) -> None:
    with (
        pytest.raises(InfrastructureError, match="labgrid has no place '.*'; it has 'board01'"),
        labgrid.holding(labgrid.device(**keys)),
    ):
        pytest.fail("that is another place")

    assert labgrid.holders == [None, None]


def test_tags_never_mean_any_place(labgrid: Labgrid) -> None:
    labgrid.human("acquire")
    device = labgrid.device(labgrid_tags="board=a", acquire_timeout=0.0)

    with pytest.raises(DeviceInUse), labgrid.holding(device):
        pytest.fail("board02 does not fit")


def test_client_that_hangs_is_said(labgrid: Labgrid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_ANSWER_S", 0.5)
    device = replace(
        labgrid.device(labgrid_place="board01"), labgrid_client=("sh", "-c", "sleep 600")
    )

    with (
        pytest.raises(InfrastructureError, match="labgrid gave no answer within 0"),
        labgrid.holding(device),
    ):
        pytest.fail("nobody has answered")


@pytest.mark.parametrize("taken", [False, True])
def test_device_that_somebody_has_taken_is_not_held(labgrid: Labgrid, taken: bool) -> None:
    with labgrid.holding(labgrid.device(labgrid_place="board01")) as held:
        if taken:
            labgrid.human("release", "--kick")
            labgrid.human("acquire")

        assert is_held(held, Deadline.after("the test", 30.0)) is not taken


def test_tags_choose_a_place_that_is_free(labgrid: Labgrid) -> None:
    with labgrid.holding(labgrid.device(labgrid_tags="memory=4g board=a")) as held:
        assert held.environment["LG_PLACE"] == "board01"

    assert labgrid.reservations == []


def test_tags_that_no_place_has_are_named(labgrid: Labgrid) -> None:
    with (
        pytest.raises(ConfigurationError, match="has no place with board=b memory=4g"),
        labgrid.holding(labgrid.device(labgrid_tags="board=b memory=4g")),
    ):
        pytest.fail("there is none")


@pytest.fixture
def lost(labgrid: Labgrid) -> Iterator[Callable[..., queue.SimpleQueue[DeviceTaken]]]:
    """A function that holds and watches ``board01``, and returns where the loss is told."""
    with labgrid.holding(labgrid.device(labgrid_place="board01")) as held:
        told: queue.SimpleQueue[DeviceTaken] = queue.SimpleQueue()
        with watched(held, told.put):
            yield lambda: told


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([["release", "--kick"], ["acquire"]], "was taken away by desk/human"),
        ([["release", "--kick"]], "was released by somebody else"),
    ],
)
def test_lost_place_is_told_with_the_taker(
    labgrid: Labgrid, lost: Any, words: list[list[str]], reason: str
) -> None:
    for command in words:
        labgrid.human(*command)

    assert lost().get(timeout=60).message == f"the place board01 {reason}"


def test_place_that_a_restarted_coordinator_forgot_is_acquired_again(
    labgrid: Labgrid, lost: Any
) -> None:
    forgotten = labgrid_client.read(labgrid.state)
    forgotten["places"]["board01"]["acquired"] = None
    labgrid.state.unlink()
    with pytest.raises(queue.Empty):
        lost().get(timeout=1)
    (labgrid.folder / "new").write_text(json.dumps(forgotten))
    (labgrid.folder / "new").rename(labgrid.state)
    while labgrid.holders[0] is None:
        time.sleep(0.1)

    labgrid.human("release", "--kick")

    assert "was released by somebody else" in lost().get(timeout=60).message


@pytest.mark.parametrize("script", ["exit 0", "echo Place board01 changed:; exit 0", "yes"])
def test_monitor_that_fails_or_floods_hides_no_loss(
    labgrid: Labgrid, script: str, tmp_path: Path
) -> None:
    wrapper = tmp_path / "client"
    real = shlex.join(labgrid.device().labgrid_client)
    monitor = f"case $* in *monitor*) {script} ;; esac"
    wrapper.write_text(f'#!/bin/sh\n{monitor}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    device = replace(labgrid.device(labgrid_place="board01"), labgrid_client=(str(wrapper),))
    told: queue.SimpleQueue[DeviceTaken] = queue.SimpleQueue()

    with labgrid.holding(device) as held, watched(held, told.put):
        with pytest.raises(queue.Empty):
            told.get(timeout=2)
        labgrid.human("release", "--kick")
        assert "was released by somebody else" in told.get(timeout=60).message

    assert labgrid.holders == [None, None], "it is not acquired again"
    assert labgrid.notes == []
