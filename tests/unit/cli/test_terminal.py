# SPDX-License-Identifier: MIT
"""The terminal gets no control character of the other side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lava_vmgroup.cli import coordinator, dispatch, jobs

JOB = Path(__file__).parents[3] / "examples/vm-group/job.json"
ESCAPE = "\x1b]0;owned\x07"


def test_what_a_library_logs_of_the_other_side_is_not_shown() -> None:
    program = (
        "import logging, lava_vmgroup.cli.run\n"
        "logging.getLogger('paramiko.transport').error('banner: \\x1b]0;owned\\x07')\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert (ended.stdout, ended.stderr) == (b"", b"")


@pytest.mark.parametrize(
    ("words", "redirected", "status"),
    [
        (["lava_vmgroup", "--dry-run", str(JOB)], "<&- >&- 2>&-", 0),
        (["lava_vmgroup", "--dry-run", str(JOB)], ">/dev/full 2>/dev/full", 4),
        (["lava_vmgroup", "no-such-job.json"], "<&- >&- 2>&-", 2),
        (["lava_vmgroup", "no-such-job.json"], ">/dev/full 2>/dev/full", 2),
        (["lava_vmgroup.cli.coordinator", "--config", "no-such-file"], "<&- >&- 2>&-", 3),
    ],
)
def test_status_is_true_where_nothing_can_be_shown(
    words: list[str], redirected: str, status: int
) -> None:
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", *words]

    assert subprocess.run(command, capture_output=True).returncode == status


def test_reader_that_leaves_changes_no_status() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        ended = subprocess.run(
            [sys.executable, "-m", "lava_vmgroup", "--dry-run", str(JOB)],
            stdout=gone,
            stderr=subprocess.PIPE,
        )

    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("program", "module", "name", "words"),
    [
        (dispatch, jobs, "load_document", ["job.json"]),
        (coordinator, coordinator, "ask_status", ["status"]),
    ],
)
def test_a_bug_is_told_without_escapes(
    program: object,
    module: object,
    name: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def fail(*_: object) -> None:
        raise AttributeError(f"quoted: {ESCAPE}")

    monkeypatch.setattr(module, name, fail)

    status = program.main(words)  # type: ignore[attr-defined]

    told = capsys.readouterr().err
    assert status == 70
    assert "AttributeError: quoted: " in told
    assert "\x1b" not in told
