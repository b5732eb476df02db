# SPDX-License-Identifier: MIT
"""Tools on the dispatcher, such as ``git``: run to their end, or read while they run."""

from __future__ import annotations

import io
import os
import select
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.connections.process import MAX_OUTPUT, end_session, outputs_of

_MAX_WORDS = 4096
"""Bytes of a program's standard error that are read for messages."""

_PACKAGES = {
    "blkid": "util-linux",
    "brz": "brz",
    "bzip2": "bzip2",
    "debugfs": "e2fsprogs",
    "git": "git",
    "gzip": "gzip",
    "lz4": "lz4",
    "mattrib": "mtools",
    "mcopy": "mtools",
    "mdel": "mtools",
    "mdir": "mtools",
    "mmd": "mtools",
    "mtype": "mtools",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "simg2img": "android-sdk-libsparse-utils",
    "ssh": "openssh-client",
    "xz": "xz-utils",
    "zstd": "zstd",
}
"""The Debian packages of the tools, for messages."""


class ProgramOutput(io.RawIOBase):
    """The output of a program, read while it runs; a context manager that ends the program."""

    def __init__(
        self, argv: Sequence[str], deadline: Deadline, *, stdin: int | IO[Any] = subprocess.DEVNULL
    ) -> None:
        """Start the program `argv`; raise `InfrastructureError` if the dispatcher lacks it."""
        super().__init__()
        self._deadline = deadline
        self._resources = resources = ExitStack()
        self._errors = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._process = _start(
            argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "LC_ALL": "C"},
        )
        resources.callback(self._end)
        resources.enter_context(deadline.waking(lambda: end_session(self._process)))

    def __enter__(self) -> Self:
        return self

    @property
    def _descriptor(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def has_more(self, within_s: float) -> bool:
        """Block until there is output, or its end, and return True; return False if the time ends.

        Raises the errors of `Deadline.check`.
        """
        limit = self._deadline.sub("a program's output", within_s)
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        while not waiting.poll(limit.step_s * 1000):
            self._deadline.check()
            if limit.expired:
                return False
        self._deadline.check()
        return True

    def readinto(self, buffer: Any) -> int:
        """Block until there is output; return the number of bytes put into `buffer`, 0 at the end.

        Raises the errors of `Deadline.check`.
        """
        while not self.has_more(self._deadline.limit_s):
            self._deadline.check()
        data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def wait(self) -> tuple[int, str]:
        """Return the exit status and the beginning of the standard error of the program.

        Call it at the end of the output.  Blocks until the program ends.  Raises the errors of
        `Deadline.check`.
        """
        try:
            status = self._process.wait(self._deadline.remaining_s)
        except subprocess.TimeoutExpired as error:
            raise self._deadline.error() from error
        self._deadline.check()
        self._errors.seek(max(0, os.fstat(self._errors.fileno()).st_size - _MAX_WORDS))
        return status, self._errors.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End the program if it still runs."""
        super().close()
        self._resources.close()

    def _end(self) -> None:
        if self._process.poll() is None:
            end_session(self._process)
        assert self._process.stdout is not None
        self._process.stdout.close()


def run_tool(
    argv: Sequence[str],
    deadline: Deadline,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    limit: int = MAX_OUTPUT,
) -> subprocess.CompletedProcess[bytes]:
    """Run a tool to its end; return its exit status and its outputs.

    `environment` is added to that of this process; `folder` is the working directory; `limit` is
    the number of bytes that each output may have.  An exit status other than 0 is not an error.
    Raises `InfrastructureError` if the dispatcher does not have the tool, `TooMuchOutput`, and the
    errors of `Deadline.check`.
    """
    deadline.check()
    process = _start(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
    )
    output, errors = outputs_of(process, deadline, limit)
    return subprocess.CompletedProcess(argv, process.returncode, output, errors)


def find_tool(*names: str) -> str:
    """Return the path of the first tool of `names` that the dispatcher has.

    Raises `InfrastructureError` if it has none of them.
    """
    # Tools for file systems are in the sbin folders, which a user's PATH often lacks.
    folders = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    found = next((path for name in names if (path := shutil.which(name, path=folders))), None)
    if found is None:
        raise InfrastructureError(
            f"the dispatcher has no {names[0]}",
            hint=f"install the package {_PACKAGES.get(names[-1], names[-1])}",
        )
    return found


def missing_program(command: str) -> str:
    """Return the program of a ``connection_command`` if the dispatcher lacks it, else ""."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    is_address = command.startswith("tcp://")
    return "" if is_address or not words or shutil.which(words[0]) else words[0]


def _start(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    program = find_tool(argv[0])
    return subprocess.Popen([program, *argv[1:]], start_new_session=True, **options)
