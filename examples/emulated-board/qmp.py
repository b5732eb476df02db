# SPDX-License-Identifier: MIT
"""A running QEMU as seen from outside: its process and its monitor."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path


class MonitorError(Exception):
    """The monitor does not answer, or refuses a command."""


class Monitor:
    """QEMU's machine protocol (QMP), one command at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")

    def execute(self, command: str) -> object:
        """Runs a command and returns what it answers."""
        try:
            self._connection.sendall(json.dumps({"execute": command}).encode() + b"\n")
            while True:
                answer = self._receive()
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise MonitorError(f"QEMU refuses {command}: {answer['error']}")
        except OSError as error:
            raise MonitorError(f"QEMU does not answer {command}: {error}") from error

    def greet(self) -> None:
        """Commands are accepted after this only."""
        try:
            self._receive()
        except OSError as error:
            raise MonitorError(f"QEMU's monitor is silent: {error}") from error
        self.execute("qmp_capabilities")

    def serial_is_connected(self, name: str) -> bool:
        """True if the socket behind a character device has its other end."""
        devices = self.execute("query-chardev")
        assert isinstance(devices, list)
        names = {device["label"]: device["filename"] for device in devices}
        return not names[name].startswith("disconnected:")

    def _receive(self) -> dict[str, object]:
        line = self._lines.readline()
        if not line:
            raise MonitorError("QEMU has closed its monitor")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer


@contextlib.contextmanager
def connect(path: str, timeout_s: float) -> Iterator[Monitor]:
    """A conversation with the monitor at a socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(path)
        except OSError as error:
            raise MonitorError(f"cannot reach QEMU's monitor: {error}") from error
        monitor = Monitor(connection)
        monitor.greet()
        yield monitor


def process_with_argument(pid_file: Path, argument: str) -> int | None:
    """The recorded process, if it is alive and was started with `argument`."""
    try:
        pid = int(pid_file.read_text())
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(argument) in command_line.split(b"\0") else None


def wait_for_exit(pid: int, timeout_s: float) -> bool:
    """True if a process, of whatever parent, ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended, _, _ = select.select([descriptor], [], [], max(timeout_s, 0.0))
        return bool(ended)
    finally:
        os.close(descriptor)


def kill(pid: int) -> None:
    """The last resort."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_until_connected(monitor: Monitor, name: str, timeout_s: float) -> bool:
    """Polls, as QEMU reports no event for it."""
    end = time.monotonic() + timeout_s
    while not monitor.serial_is_connected(name):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
