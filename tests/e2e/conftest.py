# SPDX-License-Identifier: MIT
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import EMULATED_BOARD, Lab
from tests.support.lab import lab as make_lab


@pytest.fixture(scope="session")
def images() -> None:
    """The images of the emulated board, built where they are not there yet."""
    subprocess.run([sys.executable, str(EMULATED_BOARD / "build_images.py")], check=True)


@pytest.fixture
def lab(images: None, tmp_path: Path) -> Iterator[Lab]:
    """A lab of one test, which must leave no process behind."""
    with make_lab(tmp_path) as made:
        yield made
        assert made.processes() == []
