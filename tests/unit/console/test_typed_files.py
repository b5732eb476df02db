# SPDX-License-Identifier: MIT
"""A file that a console sends is read up to a limit."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.typed_files import TypedFiles
from tests.support.scripted import PlayedShell

DIGEST = hashlib.md5(b"no gzip", usedforsecurity=False).hexdigest()


def read(tmp_path: Path, *answers: str) -> bytes:
    made_folder = ""
    stream = PlayedShell([f"{answer}\r\n".encode()] for answer in (made_folder, *answers))
    with Console(stream, Recorder(tmp_path / "console.log")) as console:
        return TypedFiles(Shell(console), "/tests").read(
            "cat x", 1000, Deadline.after("the test", 60.0)
        )


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["", f"{'9' * 15}\n{DIGEST}"], "tells of 999999999999999 bytes, which nobody can read"),
        (["", f"{'9' * 5000}\n{DIGEST}"], "tells of 999999999999999 bytes"),
        (["", f"7\n{DIGEST}", *3 * [base64.b64encode(bytes(9999)).decode()]], "file is damaged"),
        (["", f"7\n{DIGEST}", base64.b64encode(b"no gzip").decode(), ""], "damaged: .*header"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, answers: list[str], message: str) -> None:
    with pytest.raises(InfrastructureError, match=message):
        read(tmp_path, *answers)
