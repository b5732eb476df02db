# SPDX-License-Identifier: MIT
"""The error of a test shell that ended before its tests did."""

from __future__ import annotations

from collections.abc import Sequence

from lava_vmgroup.base.errors import TestError

_NOT_EXECUTABLE = (
    "the system may not run programs in the folder of the tests: if its file system is mounted "
    "noexec, give lava_test_dir a folder elsewhere"
)
_SIGNALED = (
    "a signal ended lava-test-runner: the system goes down, or a test sent the signal to its whole "
    "process group, as kill 0 does"
)
_HINTS = {
    126: _NOT_EXECUTABLE,  # a shell may not run the program
    **dict.fromkeys((129, 130, 143), _SIGNALED),
}


def ended_early(status: int, last_lines: Sequence[str]) -> TestError:
    """Return the error of a test shell that ended with `status`."""
    return TestError(
        f"the test shell ended with status {status} before its tests did",
        hint=_HINTS.get(status),
        last_lines=last_lines,
    )
