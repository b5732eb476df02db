# SPDX-License-Identifier: MIT
"""Systems with few programs, and programs that stand in for a system's own."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node


@pytest.fixture
def few_tools(node: Node) -> Path:
    """A PATH with next to nothing on it, to be filled with a system's own programs."""
    node.unpack()
    tools = node.root / "few-tools"
    tools.mkdir()
    busybox = shutil.which("busybox")
    assert busybox is not None
    for name in ("sed", "tr", "rm", "cat", "dirname"):
        (tools / name).symlink_to(busybox)
    node.environment["PATH"] = str(tools)
    return tools


def program(tools: Path, name: str, *cases: tuple[str, str]) -> None:
    """A program of the system that prints a text for some arguments, and fails for others."""
    branches = "".join(f"'{arguments}') cat <<'END'\n{text}END\n;;\n" for arguments, text in cases)
    (tools / name).write_text(f'#!/bin/sh\ncase "$*" in\n{branches}*) exit 1 ;;\nesac\n')
    (tools / name).chmod(0o755)


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """A program first on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
