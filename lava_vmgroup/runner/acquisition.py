# SPDX-License-Identifier: MIT
"""A host that a broker outside of this program shares out, such as labgrid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import run_configured
from lava_vmgroup.runner.waiting import waited_for

_RELEASE_S = 120.0


@contextmanager
def acquired(
    device: DeviceConfig,
    pause: Callable[[float], None],
    *,
    folder: Path,
    was_left: bool = False,
    wait_s: float = 0.0,
) -> Iterator[DeviceConfig]:
    """Hold the device by its broker within the block, if it has one; yield the device as held.

    Blocks while it waits for the device, and calls `pause` with the seconds between two looks;
    `pause` may raise `Canceled` to give up.  `folder` is that of the locks.  `was_left` is true if
    a process was killed that held the device by its ``acquire_command``: then it is released first.
    `wait_s` is the time to queue for a place of labgrid's that somebody else has.  Raises
    `InfrastructureError` if the device cannot be had.
    """
    log = NodeLog(device.hostname)
    if not device.is_shared_out:
        yield device
    elif device.acquire_command:
        with _held(device, log, pause, was_left=was_left):
            yield device
    else:
        # Few devices need it.
        from lava_vmgroup.runner.labgrid import held

        with held(device, log, pause, folder=folder, wait_s=wait_s) as place:
            yield place


@contextmanager
def _held(
    device: DeviceConfig, log: NodeLog, pause: Callable[[float], None], *, was_left: bool
) -> Iterator[None]:
    if was_left:
        log.warning("release", "releasing the device first: a job that used it was killed")
        _release(device, log)
    text = f"acquiring {device.hostname}"
    log.event("waiting", text, state=text)
    command = partial(run_configured, device.acquire_command, "acquire_command")
    try:
        waited_for(command, "acquire_command", device.acquire_timeout, pause)
    except InfrastructureError as error:
        said = error.last_lines[-1] if error.last_lines else error.message
        raise InfrastructureError(
            f"{device.hostname} cannot be acquired: {said}",
            hint=f"its acquire_command is: {device.acquire_command}",
        ) from error
    try:
        yield
    finally:
        _release(device, log)


def _release(device: DeviceConfig, log: NodeLog) -> None:
    """Run the ``release_command``; a failure is only a warning, as the job has ended."""
    if not device.release_command:
        return
    limit = Deadline.after("release_command", _RELEASE_S)
    try:
        run_configured(device.release_command, "release_command", limit)
    except VMGroupError as error:
        log.warning("release", f"{device.hostname} may still be acquired: {error.describe()}")
