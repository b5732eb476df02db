# SPDX-License-Identifier: MIT
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BUILD = Path(__file__).resolve().parents[2] / "examples/emulated-board/build_images.py"


@pytest.fixture(scope="session")
def build() -> list[str]:
    """The command that builds the images where they are missing, and says where they are."""
    return [sys.executable, str(BUILD), "--print-path"]


@pytest.fixture(scope="session")
def images(build: list[str]) -> Path:
    """The folder of the board's images."""
    built = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True, timeout=1800)
    return Path(built.stdout.strip())
