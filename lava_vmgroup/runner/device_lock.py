# SPDX-License-Identifier: MIT
"""One job at a time on a board: a lock on the dispatcher, which the kernel frees with its process.

Each board has a file in a folder that all users of the lab share.  The process that uses the board
holds an ``flock`` on the file.  It also writes a note about itself into the file, which other
processes show to their users.  Only the lock counts: the note of a killed process means nothing.
This program never removes the file.  Programs that the process starts do not inherit the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from lava_vmgroup.base.clock import now
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeviceInUse
from lava_vmgroup.base.file_lock import try_lock
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.boards import driver_class
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.runner.acquisition import acquired
from lava_vmgroup.runner.labgrid import is_held
from lava_vmgroup.runner.lock_files import lock_folder, opened

_LOOK_S = 0.25
_NOTING_S = 2.0
"""Seconds within which a process that has just taken the lock writes its note."""
_MAX_NOTE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The note of a process about its use of a board."""

    what: str
    """``job 'NAME'``, or another command."""
    pid: int
    since: str
    output: str
    """The folder of its results; "" for none."""

    @classmethod
    def of_this_process(cls, what: str, output: Path | None) -> Self:
        """Return a note of this process that begins now."""
        since = now().astimezone().strftime("%Y-%m-%d %H:%M")
        return cls(what=what, pid=os.getpid(), since=since, output=str(output or ""))

    @classmethod
    def read(cls, descriptor: int) -> Self | None:
        """Return the note in a lock's file, or None if it has none."""
        try:
            noted = json.loads(os.pread(descriptor, _MAX_NOTE, 0))
            return cls(
                what=str(noted["what"]),
                pid=int(noted["pid"]),
                since=str(noted["since"]),
                output=str(noted["output"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    @contextmanager
    def noted(self, descriptor: int) -> Iterator[None]:
        """Write the note into a lock's file, and remove it after the block."""
        # If the disk is full, the lock holds without a note.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(self)).encode(), 0)
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)

    @property
    def is_alive(self) -> bool:
        """True while the process that wrote the note runs."""
        if self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True

    def __str__(self) -> str:
        results = f", results in {self.output}" if self.output else ""
        return f"{self.what} (process {self.pid}, since {self.since}{results})"


@contextmanager
def exclusive(
    lab: Lab,
    what: str,
    output: Path | None,
    *,
    limit_s: float = 0.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Lab]:
    """Lock the lab's host for `what`, such as a job, within the block, and acquire it.

    Yields the lab with the device as it is held.  A host that several jobs may use at once needs no
    lock, unless a broker shares it out.  If another process holds the lock, this one blocks for up
    to `limit_s` seconds.  It calls `pause` with the seconds between two tries; `pause` may raise to
    give up.  Raises `DeviceInUse` when the time is over, `ConfigurationError` if the lock's file or
    folder cannot be used, and the errors of `acquired`.
    """
    device = lab.device
    if device is None or (driver_class(device).is_shared and not device.is_shared_out):
        yield lab
        return
    folder = lock_folder(lab.dispatcher)
    queue = _Queue(device.hostname, limit_s, pause)
    if device.labgrid_tags:
        # Several jobs may use the configuration at once, each for a place of its own.
        with acquired(device, pause, folder=folder) as held:
            yield _with(held, lab)
        return
    while True:
        with opened(folder, f"{device.hostname}.lock") as descriptor:
            if try_lock(descriptor, fcntl.LOCK_EX):
                if os.fstat(descriptor).st_nlink == 0:
                    continue  # the file was removed meanwhile; others lock a new one
                was_left = Use.read(descriptor) is not None
                with (
                    Use.of_this_process(what, output).noted(descriptor),
                    acquired(
                        device, pause, folder=folder, was_left=was_left, wait_s=queue.remaining_s
                    ) as held,
                ):
                    yield _with(held, lab)
                return
            use = Use.read(descriptor)
        queue.wait(use)


def _with(held: DeviceConfig, lab: Lab) -> Lab:
    return replace(lab, device=held, holds_device=partial(is_held, held))


class _Queue:
    """The wait of one process for a board that another one uses."""

    def __init__(self, name: str, limit_s: float, pause: Callable[[float], None]) -> None:
        self._name = name
        self._deadline = Deadline.after(f"waiting for {name}", limit_s)
        self._noting = Deadline.after("the note of the other process", _NOTING_S)
        self._pause = pause
        self._log = NodeLog(name)
        self._told = ""

    @property
    def remaining_s(self) -> float:
        """Seconds for which the process may go on waiting."""
        return self._deadline.remaining_s

    def wait(self, use: Use | None) -> None:
        """Pause once and report the other process; raise `DeviceInUse` when the time is over."""
        # The noted process may be dead because the lock's holder has not written its note yet, or
        # may only seem dead because it runs in another container.
        if self._noting.expired or (use is not None and use.is_alive):
            self._refuse_or_tell(str(use or "another process"))
        self._pause(_LOOK_S)

    def _refuse_or_tell(self, user: str) -> None:
        if self._deadline.expired:
            limit_s = self._deadline.limit_s
            still = f" after {limit_s:g} s of waiting" if limit_s else ""
            raise DeviceInUse(
                f"{self._name} is in use by {user}{still}",
                hint="a job with --wait queues for it; --target names another device",
            )
        if user != self._told:
            self._told = user
            text = f"waiting for {self._name}, which is in use by {user}"
            self._log.event("waiting", text, state=text)
