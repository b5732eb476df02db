# SPDX-License-Identifier: MIT
from tests.support.job_files import job_files
from tests.unit.boards.played_console import lab

__all__ = ["job_files", "lab"]
