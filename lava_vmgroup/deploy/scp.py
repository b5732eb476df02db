# SPDX-License-Identifier: MIT
"""Copies of files from ``scp:`` URLs, by ``ssh`` with its user's configuration and keys."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.base.progress import Progress
from lava_vmgroup.connections.program import ProgramOutput
from lava_vmgroup.deploy.part import MAX_DOWNLOAD
from lava_vmgroup.job.reference import FileReference

_CHUNK = 1 << 20
_SSH_FAILED = 255
_OPTIONS = (
    *("-o", "BatchMode=yes"),
    *("-o", "StrictHostKeyChecking=yes"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "ConnectTimeout=30"),
    *("-o", "ServerAliveInterval=15"),
)


def problems(reference: FileReference) -> Iterator[str]:
    """Yield the problems of a ``scp:`` URL."""
    url = urlsplit(reference.url)
    if not re.fullmatch(r"[\w.][\w.-]*|[0-9A-Fa-f:]+", url.hostname or ""):
        yield "the host is missing or no name; write scp://[user@]host[:port]/path"
    if url.username is not None and not re.fullmatch(r"[\w.][\w.-]*", url.username):
        yield f"{url.username!r} is no user's name; write scp://[user@]host[:port]/path"
    if url.password is not None:
        yield "there is no place for a password; let the dispatcher's user log in with a key"
    if url.path in ("", "/"):
        yield "the path is missing; write scp://[user@]host[:port]/path"


def copy(
    reference: FileReference,
    target: Path,
    deadline: Deadline,
    progress: Progress,
) -> None:
    """Copy the file at a ``scp:`` URL to `target`.

    The server must have a shell and ``cat``, and the user must already know its key.  Raises
    `InfrastructureError` if the login fails, and `JobError` if the file cannot be read or is too
    large.
    """
    url = urlsplit(reference.url)
    argv = ["ssh", "-T", *_OPTIONS]
    argv += ["-p", str(url.port)] if url.port is not None else []
    argv += ["-l", url.username] if url.username is not None else []
    argv += ["--", url.hostname or "", f"cat {shlex.quote(unquote(url.path))}"]
    done = 0
    with ProgramOutput(argv, deadline) as output, target.open("wb") as stream:
        while chunk := output.read(_CHUNK):
            stream.write(chunk)
            done += len(chunk)
            progress(done, 0)
            if done > MAX_DOWNLOAD:
                raise JobError(f"{reference.shown} has more than {MAX_DOWNLOAD >> 30} GiB")
        status, words = output.wait()
    if status == _SSH_FAILED:
        raise InfrastructureError(
            f"cannot copy {reference.shown}: {words or 'ssh failed'}",
            hint="the dispatcher's user must be able to log in there by ssh without questions",
        )
    if status != 0:
        raise JobError(f"cannot copy {reference.shown}: {words or f'exit status {status}'}")
