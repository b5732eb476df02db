# SPDX-License-Identifier: MIT
"""Records of a board's serial ports beside its console, such as that of a secure world."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.configured import open_configured
from lava_vmgroup.console.recorder import Recorder

_AGAIN_S = 5.0


@contextmanager
def other_ports_recorded(config: DeviceConfig, console: Recorder, log: NodeLog) -> Iterator[None]:
    """Record what the other ports say within the block, each in a file beside the console's.

    A port that cannot be opened, or whose connection ends, is tried again; that is only a warning,
    as the job does without.
    """
    token = CancelToken()
    threads = [
        threading.Thread(
            target=_record,
            args=(config, command, console.beside(name), token, log),
            name=f"port {name}",
        )
        for name, command in config.other_ports.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        token.cancel(InfrastructureError("the board is not used any more"))
        for thread in threads:
            thread.join()


def _record(
    config: DeviceConfig, command: str, recorder: Recorder, token: CancelToken, log: NodeLog
) -> None:
    warned = ""
    with closing(recorder):
        while token.reason is None:
            reason = _record_once(config, command, recorder, token)
            if token.reason is None and reason != warned:
                log.warning("console", f"{recorder.path.name} has gaps: {reason}")
                warned = reason
            token.wait(_AGAIN_S)


def _record_once(config: DeviceConfig, command: str, recorder: Recorder, token: CancelToken) -> str:
    """Record a port until its connection ends, and return the reason."""
    limit = Deadline.after("the port's connection", config.connection_timeout, token)
    try:
        with (
            closing(open_configured(command, config, limit)) as stream,
            token.waking(stream.close),
        ):
            while data := stream.read():
                recorder.write(data)
    except VMGroupError as error:
        return error.message
    return "its connection ended"
