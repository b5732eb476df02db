# SPDX-License-Identifier: MIT
from tests.support.job_files import job_files

__all__ = ["job_files"]
