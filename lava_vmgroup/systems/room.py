# SPDX-License-Identifier: MIT
"""Room for tests on a node: large ones are refused before they travel, where it is known."""

from __future__ import annotations

import re
import shlex

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.base.shell_programs import typed_program
from lava_vmgroup.console.shell import Shell

_ASK_S = 60.0
_HINT = "have the tests download what they need, use fewer definitions, or give the node more room"

_DISK = re.compile(r"^room (\S+) (\d+) (\d+) (\d+)$", re.MULTILINE)
_MEMORY = re.compile(r"^MemAvailable:\s+(\d+)", re.MULTILINE)


def check_room(shell: Shell, directory: str, size: int, deadline: Deadline) -> None:
    """Raise `JobError` when the system says that `size` bytes have no room in `directory`."""
    limit = deadline.sub("asking for the free room", _ASK_S)
    _, said = shell.run(typed_program("systems/ask_room.sh", shlex.quote(directory)), limit)
    free = free_bytes(said)
    if free is not None and size > free:
        raise JobError(
            f"the tests and their repositories take {mib(size)} on the node, "
            f"{mib(free)} are free in {directory}",
            hint=_HINT,
        )


def place(shell: Shell, command: str, deadline: Deadline) -> None:
    """Have each test get its files by `command`; raises `InfrastructureError` with the reason."""
    status, said = shell.run(command, deadline)
    if status != 0:
        lines = said.strip().splitlines() or [f"status {status}"]
        raise InfrastructureError(
            f"the tests cannot get their files: {lines[-1]}", hint=_HINT, last_lines=lines[-20:]
        )


def refuse_in_memory(size: int, ramdisk: int, memory_mib: int) -> None:
    """Raise `JobError` when tests cannot fit beside the `ramdisk` that holds the whole system."""
    if size + ramdisk > memory_mib << 20:
        raise JobError(
            f"the tests and their repositories take {mib(size)} and the ramdisk {mib(ramdisk)}; "
            f"the VM has {memory_mib} MiB of memory and no disk",
            hint="give the VM's type more qemu_memory, or the VM an image with a disk",
        )


def free_bytes(said: str) -> int | None:
    """The room by what stat and /proc/meminfo say; None where they do not.

    A file system in memory has no more than what is free there, and ramfs has no size at all.
    """
    disk, memory = _DISK.search(said), _MEMORY.search(said)
    available = int(memory[1]) * 1024 if memory else None
    if disk is None:
        return None
    kind, block, total, free = disk[1], *map(int, disk.groups()[1:])
    if total == 0:
        return available
    if kind == "tmpfs" and available is not None:
        return min(block * free, available)
    return block * free


def mib(size: int) -> str:
    """A size in whole MiB, never 0 for what is there."""
    return f"{-(-size // (1 << 20))} MiB"
