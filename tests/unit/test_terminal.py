# SPDX-License-Identifier: MIT
"""Whatever the other side sends, nothing of it is written to the terminal as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lava_vmgroup import cli, coordinator_cli

ESCAPE = "\x1b]0;owned\x07"


def test_what_a_library_logs_of_the_other_side_is_not_shown() -> None:
    program = (
        "import logging, lava_vmgroup.cli\n"
        "logging.getLogger('paramiko.transport').error('banner: \\x1b]0;owned\\x07')\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert (ended.stdout, ended.stderr) == (b"", b"")


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [(cli, "load_document", ["job.json"]), (coordinator_cli, "ask_status", ["status"])],
)
def test_a_bug_is_told_without_escapes(
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

    status = module.main(words)  # type: ignore[attr-defined]

    told = capsys.readouterr().err
    assert status == 70
    assert "AttributeError: quoted: " in told
    assert "\x1b" not in told
