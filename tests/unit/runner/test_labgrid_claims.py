# SPDX-License-Identifier: MIT
"""The place of a job that could not give it back is given back by the next job."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from lava_vmgroup.base.errors import InfrastructureError
from tests.support.lab import ROOT
from tests.unit.runner.quick_labgrid import Labgrid

HOLDS = """\
import sys, time
from pathlib import Path
from tests.unit.runner.quick_labgrid import Labgrid
labgrid = Labgrid.__new__(Labgrid)
labgrid.folder, labgrid.state = Path(sys.argv[1]), Path(sys.argv[1], "state.json")
with labgrid.holding(labgrid.device(labgrid_tags="board=a")):
    print("held", flush=True)
    time.sleep(600)
"""


def test_note_stays_until_the_place_is_given_back(
    labgrid: Labgrid, caplog: pytest.LogCaptureFixture
) -> None:
    device = labgrid.device(labgrid_place="board01")
    with labgrid.holding(device):
        away = labgrid.state.rename(labgrid.folder / "away")
    assert "labgrid may still keep board01" in caplog.text
    with pytest.raises(InfrastructureError, match="Could not connect"), labgrid.holding(device):
        pytest.fail("there is no labgrid")
    away.rename(labgrid.state)

    with labgrid.holding(labgrid.device(labgrid_place="board02")):
        assert labgrid.holders[0] is None

    assert labgrid.notes == []


def test_next_job_gives_back_what_a_killed_one_held(labgrid: Labgrid) -> None:
    command = [sys.executable, "-c", HOLDS, str(labgrid.folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "held\n"
        with labgrid.holding(labgrid.device(labgrid_place="board02")):
            assert labgrid.holders[0] is not None, "a living job keeps its place"
        killed.kill()
    assert len(labgrid.notes) == len(labgrid.reservations) == 1

    with labgrid.holding(labgrid.device(labgrid_place="board02")):
        assert labgrid.holders[0] is None

    assert labgrid.notes == labgrid.reservations == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"place": 1}', '{"client": "CLIENT", "host": "-x", "user": "y"}']
)
def test_odd_files_beside_the_notes_do_no_harm(labgrid: Labgrid, text: str) -> None:
    device = labgrid.device(labgrid_place="board01")
    (labgrid.folder / "locks").mkdir()
    odd = labgrid.folder / "locks/labgrid-odd.lock"
    odd.write_text(text.replace("CLIENT", shlex.join(device.labgrid_client)))

    with labgrid.holding(device):
        assert labgrid.holders[0] is not None


def test_note_is_for_one_coordinator(labgrid: Labgrid, monkeypatch: pytest.MonkeyPatch) -> None:
    device = labgrid.device(labgrid_place="board01")
    with labgrid.holding(device):
        away = labgrid.state.rename(labgrid.folder / "away")
    away.rename(labgrid.state)

    monkeypatch.setenv("LG_COORDINATOR", "other:20408")
    with labgrid.holding(labgrid.device(labgrid_place="board02")):
        assert len(labgrid.notes) == 2

    monkeypatch.delenv("LG_COORDINATOR")
    with labgrid.holding(labgrid.device(labgrid_place="board02")):
        assert labgrid.holders[0] is None
