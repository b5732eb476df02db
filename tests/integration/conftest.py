# SPDX-License-Identifier: MIT
import pytest

from tests.support.http_server import site
from tests.support.job_files import job_files
from tests.support.lab import images
from tests.support.missing import need_root
from tests.support.sshd import sshd
from tests.support.twin import twin_lab

__all__ = ["images", "job_files", "site", "sshd", "twin_lab"]


@pytest.fixture
def as_root() -> None:
    """For tests of what only root can do."""
    need_root()
