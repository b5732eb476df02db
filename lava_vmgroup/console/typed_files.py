# SPDX-License-Identifier: MIT
"""Files copied into a system, and out of it, over its console: the last resort."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import re
import shlex
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.console.shell import Shell

_PIECE = 700
"""Characters of data in a typed line; busybox's shell accepts lines of 1023."""
_BLOCK = 2048
"""Bytes of a file that one command prints."""
_MAX_PACKED = 16 << 20
"""Limit of compressed bytes, typed or read: half an hour of a quick serial line."""
_TRIES = 3
_MAX_UNPACKED = 256 << 20
"""Limit of bytes before compression; more are refused without a try to compress them."""
_TYPING_S = 300.0
"""Seconds for typing, beside those for the bytes."""
_SLOWEST = 8 << 10
"""Bytes a second that a quick serial line carries in base64."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A tar archive to type, and the folder to unpack it in."""

    folder: str
    archive: bytes


class TypedFiles:
    """The copying of files into the system behind a shell, and out of it.

    The system needs ``base64``, ``gzip``, ``md5sum`` and ``tar``.  A file on its way is in
    `folder`, the folder of the tests, which is removed with them however the job ends.
    """

    def __init__(self, shell: Shell, folder: str) -> None:
        self._shell = shell
        self._folder = shlex.quote(folder)
        self._file = f"{self._folder}/typed"

    def unpack(self, archives: Sequence[Typed], deadline: Deadline) -> None:
        """Type tar archives and unpack them, one after the other.

        Raises `JobError` before anything is typed if they are too large, and `InfrastructureError`
        if an archive arrives damaged or cannot be unpacked.
        """
        size = sum(len(one.archive) for one in archives)
        if size > _MAX_UNPACKED:
            raise _too_much(f"{size >> 20} MiB")
        packed = [gzip.compress(one.archive, mtime=0) for one in archives]
        if (typed := sum(map(len, packed))) > _MAX_PACKED:
            raise _too_much(f"{size >> 20} MiB, compressed {typed >> 20} MiB")
        deadline = deadline.sub("typing the tests", _TYPING_S + typed / _SLOWEST)
        self._shell.check_run(f"mkdir -p {self._folder}", deadline)
        for one, content in zip(archives, packed, strict=True):
            self._unpack_one(one, content, deadline)

    def _unpack_one(self, typed: Typed, packed: bytes, deadline: Deadline) -> None:
        text, file = base64.b64encode(packed).decode(), self._file
        self._shell.check_run(f"rm -f {file}", deadline)
        for start in range(0, len(text), _PIECE):
            self._shell.check_run(f"echo {text[start : start + _PIECE]} >>{file}", deadline)
        digest = hashlib.md5(typed.archive, usedforsecurity=False).hexdigest()
        self._shell.check_run(
            f"base64 -d {file} | gzip -d | md5sum | grep -q {digest} && "
            f"base64 -d {file} | gzip -d | tar -xf - -C {typed.folder} && rm {file}",
            deadline,
        )

    def read(self, command: str, limit: int, deadline: Deadline) -> bytes:
        """Return the output of a command, its first `limit` bytes at most.

        Raises `InfrastructureError` if the output arrives damaged or is too large to read.
        """
        file = self._file
        self._shell.check_run(f"mkdir -p {self._folder}", deadline)
        self._shell.check_run(f"{command} | gzip >{file}", deadline)
        told = self._shell.check_run(f"wc -c <{file}; md5sum <{file}", deadline)
        facts = re.search(r"(\d{1,15})\s+([0-9a-f]{32})\b", told)
        if facts is None:
            raise InfrastructureError(f"the console told no size: {told[:120]!r}")
        if int(facts[1]) > _MAX_PACKED:
            raise InfrastructureError(
                f"the console tells of {facts[1]} bytes, which nobody can read"
            )
        packed = b"".join(
            self._read_block(number, deadline) for number in range(-(-int(facts[1]) // _BLOCK))
        )
        self._shell.run(f"rm -f {file}", deadline)
        if hashlib.md5(packed, usedforsecurity=False).hexdigest() != facts[2]:
            raise InfrastructureError("what the console showed of a file is damaged")
        try:
            return zlib.decompressobj(wbits=31).decompress(packed, limit)
        except zlib.error as error:
            raise InfrastructureError(
                f"what the console showed of a file is damaged: {error}"
            ) from error

    def _read_block(self, number: int, deadline: Deadline) -> bytes:
        """Return a block of the file; read it again if a kernel message has damaged it."""
        command = f"dd if={self._file} bs={_BLOCK} skip={number} count=1 2>/dev/null | base64"
        for _ in range(_TRIES):
            text = "".join(self._shell.check_run(command, deadline).split())
            with contextlib.suppress(ValueError):
                if len(block := base64.b64decode(text, validate=True)) <= _BLOCK:
                    return block
        raise InfrastructureError("what the console showed of a file is damaged")


def _too_much(what: str) -> JobError:
    return JobError(
        f"the tests have {what}, and the system can take {_MAX_PACKED >> 20} MiB at most, by its "
        "console alone",
        hint="give the guest's kernel virtio-blk, or have the tests download what is large",
    )
