# SPDX-License-Identifier: MIT
"""Programs on the dispatcher: a console command on a terminal of its own, and power commands.

`subprocess` starts each program in a session of its own.  A plain ``os.fork`` is not safe in a
process with threads.
"""

from __future__ import annotations

import contextlib
import os
import pty
import selectors
import shlex
import signal
import subprocess
import tty
from collections.abc import Mapping

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError
from lava_vmgroup.connections.stream import CHUNK, FdStream

MAX_OUTPUT = 16 << 20
"""Limit of bytes that a program may print on one of its outputs; they are held in memory."""

_TERMINATE_S = 3.0
_LOOK_S = 0.5


class TooMuchOutput(InfrastructureError):
    """The error for a program that was ended because it printed more than its limit."""


class ProcessStream:
    """A `ByteStream` to a command such as ``telnet server port``, run on a pseudo-terminal."""

    def __init__(self, command: str, environment: Mapping[str, str] | None = None) -> None:
        """Start `command`, which is split into words as a shell splits it.

        `environment` is added to that of this process.  Raises `ConfigurationError` if the command
        cannot be started, and `InfrastructureError` if the dispatcher has no terminal for it.
        """
        try:
            master, slave = pty.openpty()
        except OSError as error:
            raise InfrastructureError(
                f"no terminal for the console command: {error}", hint="is /dev/pts mounted?"
            ) from error
        tty.setraw(slave)
        try:
            self._process = subprocess.Popen(
                shlex.split(command),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        except (OSError, ValueError, IndexError) as error:
            os.close(master)
            raise ConfigurationError(
                f"cannot start the console command {command!r}: {error}",
                hint="correct connection_command in the device's configuration",
            ) from error
        finally:
            os.close(slave)
        self._stream = FdStream(master)

    def read(self) -> bytes:
        """See `ByteStream.read`."""
        return self._stream.read()

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See `ByteStream.write`."""
        self._stream.write(data, deadline)

    def close(self) -> None:
        """Close the terminal and end the command; see `end_session`."""
        self._stream.close()
        end_session(self._process)


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its own session: hang up, and kill it if it still runs 3 s later.

    Both signals go to its process group.  Waits for at most 3 s after each.
    """
    for number in (signal.SIGHUP, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(_TERMINATE_S)
        except subprocess.TimeoutExpired:
            continue
        return


def outputs_of(
    process: subprocess.Popen[bytes], deadline: Deadline, limit: int = MAX_OUTPUT
) -> tuple[bytes, bytes]:
    """Return the standard output and the standard error that a process prints until it ends.

    The process must lead its own session.  Blocks until it has ended and its outputs are closed; a
    program that it left in another session can keep them open until the deadline.  Raises
    `TooMuchOutput` when one output has more than `limit` bytes, and the errors of `Deadline.check`;
    then it ends the process.
    """
    streams = [one for one in (process.stdout, process.stderr) if one is not None]
    printed = {stream: bytearray() for stream in streams}
    try:
        with deadline.waking(lambda: end_session(process)), selectors.DefaultSelector() as waiting:
            for stream in streams:
                waiting.register(stream, selectors.EVENT_READ, printed[stream])
            while waiting.get_map():
                for key, _ in waiting.select(min(deadline.remaining_s, _LOOK_S)):
                    if chunk := os.read(key.fd, CHUNK):
                        key.data.extend(chunk)
                    else:
                        waiting.unregister(key.fileobj)
                    if len(key.data) > limit:
                        raise TooMuchOutput(f"a program printed more than {limit} bytes")
                deadline.check()
            _await_end(process, deadline)
    finally:
        if process.poll() is None:
            end_session(process)
        for stream in streams:
            stream.close()
    deadline.check()
    output, errors = process.stdout, process.stderr
    return bytes(printed[output]) if output else b"", bytes(printed[errors]) if errors else b""


def _await_end(process: subprocess.Popen[bytes], deadline: Deadline) -> None:
    try:
        process.wait(deadline.remaining_s)
    except subprocess.TimeoutExpired as error:
        raise deadline.error() from error


def run_configured(
    command: str, purpose: str, deadline: Deadline, environment: Mapping[str, str] | None = None
) -> None:
    """Run a shell command of the lab's configuration, such as ``hard_reset_command``, to its end.

    `purpose` names the work in messages; `environment` is added to that of this process.  Raises
    `InfrastructureError` with the command's output if the exit status is not 0.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    output, _ = outputs_of(process, deadline)
    if process.returncode != 0:
        words = output.decode(errors="replace").strip().splitlines()
        raise InfrastructureError(
            f"{purpose} failed with exit status {process.returncode}: {command}", last_lines=words
        )
