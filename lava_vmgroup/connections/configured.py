# SPDX-License-Identifier: MIT
"""The connection to a console by the lab's ``connection_command``."""

from __future__ import annotations

import re

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.connections.tcp import open_tcp

_TCP_PREFIX = "tcp://"


def open_configured(command: str, config: DeviceConfig, deadline: Deadline) -> ByteStream:
    """Open a device's serial port by a program or ``tcp://host:port``, the `command`."""
    if not command.startswith(_TCP_PREFIX):
        return ProcessStream(command, config.environment)
    host, _, port = command.removeprefix(_TCP_PREFIX).rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port):
        raise ConfigurationError(
            f"connection_command {command!r} is no address", hint="write tcp://host:port"
        )
    limit = deadline.sub("connecting to the console", config.connection_timeout)
    return open_tcp(host, int(port), limit)
