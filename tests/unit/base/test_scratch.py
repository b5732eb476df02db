# SPDX-License-Identifier: MIT
"""The next dispatcher removes the files that a killed one kept on its own machine."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lava_vmgroup.base.scratch import scratch_folder

HOLDING = """
import sys
from lava_vmgroup.base.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "image").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    program = [sys.executable, "-c", HOLDING]
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
