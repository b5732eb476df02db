# SPDX-License-Identifier: MIT
"""Tools and rights that a user's machine may lack, and that of continuous integration must not."""

import os
from typing import NoReturn

import pytest


def missing(thing: str) -> NoReturn:
    """Skip the test, or fail it in continuous integration (``CI`` in the environment)."""
    if os.environ.get("CI"):
        pytest.fail(f"this machine lacks {thing}")
    pytest.skip(f"this machine lacks {thing}")


def need_root() -> None:
    """Skip the test, or fail it in continuous integration, for a user who is not root."""
    if os.geteuid() != 0:
        missing("root's rights")
