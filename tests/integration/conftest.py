# SPDX-License-Identifier: MIT
from tests.support.sshd import sshd

__all__ = ["sshd"]
