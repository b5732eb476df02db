# SPDX-License-Identifier: MIT
from tests.support.http_server import site
from tests.support.job_files import job_files
from tests.support.lab import images
from tests.support.sshd import sshd

__all__ = ["images", "job_files", "site", "sshd"]
