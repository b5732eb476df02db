# SPDX-License-Identifier: MIT
"""The next dispatcher removes the files that a killed one kept on its own machine."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lava_vmgroup.base.scratch import scratch_folder

HOLD = """
import sys

def hold(folder):
    (folder / "image").touch()
    print(folder, flush=True)
    sys.stdin.read()
    raise SystemExit
"""
JOB = """
from lava_vmgroup.base.scratch import scratch_folder
with scratch_folder() as folder:
    hold(folder)
"""
CHECK = """
from lava_vmgroup.actions import lava_test_shell
from lava_vmgroup.job.model import Action, Scope
lava_test_shell.DefinitionLoader = lambda *, work, **_: hold(work)
action = Action(command="lava_test_shell", parameters={"testdef_urls": []}, place="actions[0]")
list(lava_test_shell.check(action, Scope(folder=None, on_host=True, on_vms=True)))
"""
DOCTOR = """
from lava_vmgroup.doctor import examination
examination._host_node = lambda group, lab, output, work, token: hold(work)
examination.examine(None, None, None, None, boot=False)
"""


@pytest.mark.parametrize("holding", [JOB, CHECK, DOCTOR], ids=["job", "check", "doctor"])
def test_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(
    holding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    program = [sys.executable, "-c", HOLD + holding]
    folders = []
    with (
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as dead,
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as live,
    ):
        for process in (dead, live):
            assert process.stdout is not None
            folders.append(Path(process.stdout.readline().strip()))
        dead.kill()
        dead.wait()

        with scratch_folder() as own:
            assert set(tmp_path.iterdir()) == {folders[1], own}
            assert (folders[1] / "image").exists()

    assert list(tmp_path.iterdir()) == []
