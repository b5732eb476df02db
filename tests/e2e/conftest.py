# SPDX-License-Identifier: MIT
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import Lab, images
from tests.support.lab import lab as make_lab

__all__ = ["images"]


@pytest.fixture
def lab(images: None, tmp_path: Path) -> Iterator[Lab]:
    """A lab of one test, which must leave no process behind."""
    with make_lab(tmp_path) as made:
        yield made
        assert made.processes() == []
