# SPDX-License-Identifier: MIT
"""The room for tests, by what systems say of their file systems and memory."""

from types import SimpleNamespace
from typing import Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.systems.room import free_bytes, place, refuse_in_memory

MEMORY = "MemAvailable:      10240 kB"


@pytest.mark.parametrize(
    ("said", "free"),
    [
        (f"room ext2/ext3 4096 1000 500\n{MEMORY}", 500 * 4096),
        (f"room tmpfs 4096 9000 500\n{MEMORY}", 500 * 4096),
        # A file system in memory promises more than there is.
        (f"room tmpfs 4096 9000 9000\n{MEMORY}", 10240 * 1024),
        (f"room ramfs 4096 0 0\n{MEMORY}", 10240 * 1024),
        ("room ramfs 4096 0 0", None),
        ("room tmpfs 4096 9000 9000", 9000 * 4096),
        (f"[    1.0] a word of the kernel's\nroom ext2/ext3 1024 9 8\n{MEMORY}", 8192),
        (MEMORY, None),
        ("sh: stat: not found", None),
        ("", None),
    ],
)
def test_free_room_is_what_is_left_where_the_files_go(said: str, free: int | None) -> None:
    assert free_bytes(said) == free


def test_tests_are_refused_only_when_memory_surely_cannot_hold_them() -> None:
    refuse_in_memory(50 << 20, 14 << 20, 64)

    with pytest.raises(JobError, match=r"take 50 MiB and the ramdisk 15 MiB; the VM has 64 MiB"):
        refuse_in_memory(50 << 20, 15 << 20, 64)


@pytest.mark.parametrize(
    ("said", "reason"),
    [("cp: 'x': Input/output error\ntar: No space left\n", "tar: No space left"), ("", "status 2")],
)
def test_tests_without_their_files_are_told_the_last_words(said: str, reason: str) -> None:
    shell: Any = SimpleNamespace(run=lambda _command, _deadline: (2, said))

    with pytest.raises(InfrastructureError, match=f"cannot get their files: {reason}$"):
        place(shell, "sh place", Deadline.after("the test", 60.0))
