# SPDX-License-Identifier: MIT
from tests.support.lab import images
from tests.support.sshd import sshd

__all__ = ["images", "sshd"]
