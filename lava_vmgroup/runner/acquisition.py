# SPDX-License-Identifier: MIT
"""A host that a broker outside of this program shares out, such as labgrid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, InfrastructureError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import run_configured

_LOOK_S = 0.25
_RELEASE_S = 120.0


@contextmanager
def acquired(
    device: DeviceConfig, pause: Callable[[float], None], *, was_left: bool
) -> Iterator[None]:
    """Hold the device by its ``acquire_command`` within the block, if it has one.

    Blocks while the command waits, and calls `pause` with the seconds between two looks; `pause`
    may raise `Canceled` to give up.  `was_left` is true if a process was killed that held the
    device: then it is released first.  Raises `InfrastructureError` if the command fails.
    """
    if not device.acquire_command:
        yield
        return
    log = NodeLog(device.hostname)
    if was_left:
        log.warning("release", "releasing the device first: a job that used it was killed")
        _release(device, log)
    text = f"acquiring {device.hostname}"
    log.event("waiting", text, state=text)
    _acquire(device, pause)
    try:
        yield
    finally:
        _release(device, log)


def _acquire(device: DeviceConfig, pause: Callable[[float], None]) -> None:
    token = CancelToken()
    limit = Deadline.after("acquire_command", device.acquire_timeout, token)
    with ThreadPoolExecutor(1, "acquire_command") as worker:
        acquiring = worker.submit(run_configured, device.acquire_command, "acquire_command", limit)
        try:
            while not acquiring.done():
                pause(_LOOK_S)
        except Canceled as reason:
            token.cancel(reason)
            raise
        try:
            acquiring.result()
        except InfrastructureError as error:
            said = error.last_lines[-1] if error.last_lines else error.message
            raise InfrastructureError(
                f"{device.hostname} cannot be acquired: {said}",
                hint=f"its acquire_command is: {device.acquire_command}",
            ) from error


def _release(device: DeviceConfig, log: NodeLog) -> None:
    """Run the ``release_command``; a failure is only a warning, as the job has ended."""
    if not device.release_command:
        return
    limit = Deadline.after("release_command", _RELEASE_S)
    try:
        run_configured(device.release_command, "release_command", limit)
    except VMGroupError as error:
        log.warning("release", f"{device.hostname} may still be acquired: {error.describe()}")
