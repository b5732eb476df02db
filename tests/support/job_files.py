# SPDX-License-Identifier: MIT
"""The files of a job, for tests of what uses them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.deploy.fetch import JobFiles


@pytest.fixture
def job_files(tmp_path: Path) -> Iterator[JobFiles]:
    """The files of a job in `tmp_path`, with a cache of their own."""
    config = DispatcherConfig(lava_cachedir=tmp_path / "cache")
    with JobFiles(tmp_path, config, tmp_path / "work") as files:
        yield files
