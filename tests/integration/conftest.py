# SPDX-License-Identifier: MIT
from tests.support.http_server import site
from tests.support.sshd import sshd

__all__ = ["site", "sshd"]
