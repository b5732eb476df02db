# SPDX-License-Identifier: MIT
"""The images on the host: each content once, however many virtual machines use it."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from lava_vmgroup.connections.ssh import SshLink
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.digests import sha256_of
from lava_vmgroup.errors import InfrastructureError
from lava_vmgroup.log import NodeLog
from lava_vmgroup.results.model import Upload


def digest_of(path: Path, deadline: Deadline) -> str:
    """SHA-256 of a file's content, in hex."""
    return sha256_of(path, lambda _done, _size: deadline.check())


@dataclass(slots=True)
class _Entry:
    size: int = 0
    bytes_sent: int = 0
    used_by: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    present: bool = False


class ImageStore:
    """Content-addressed files on the host, filled over the links of the nodes that need them.

    A file appears under its digest only when it is whole, so what a broken transfer leaves is
    never used.
    """

    def __init__(self, root: str, job: str) -> None:
        self._folder = f"{root}/sha256"
        self._job = job
        self._entries: defaultdict[str, _Entry] = defaultdict(_Entry)
        self._lock = threading.Lock()

    def put(self, local: Path, digest: str, link: SshLink, log: NodeLog, deadline: Deadline) -> str:
        """Make sure that the host has the file; returns its path there.

        Blocks while another node sends the same content.
        """
        with self._lock:
            entry = self._entries[digest]
        remote = f"{self._folder}/{digest}"
        with entry.lock:
            if log.node not in entry.used_by:
                entry.used_by.append(log.node)
            if not entry.present:
                entry.size = local.stat().st_size
                if link.size_of(remote, deadline) != entry.size:
                    entry.bytes_sent += self._send(local, remote, link, log, deadline)
                entry.present = True
        return remote

    def uploads(self) -> tuple[Upload, ...]:
        """What was put into the store by this job, in the order of first use."""
        with self._lock:
            return tuple(
                Upload(
                    digest=digest,
                    size=entry.size,
                    bytes_sent=entry.bytes_sent,
                    used_by=tuple(entry.used_by),
                )
                for digest, entry in self._entries.items()
            )

    def _send(
        self, local: Path, remote: str, link: SshLink, log: NodeLog, deadline: Deadline
    ) -> int:
        size = local.stat().st_size
        log.event("state", f"uploading {local.name}", state=f"uploading {local.name}")
        self._make_room(local, link, deadline)
        part = f"{remote}.part-{self._job}"
        try:
            sent = link.put(
                local,
                part,
                deadline,
                lambda done: log.debug(
                    "progress",
                    f"{local.name}: {done}/{size}",
                    what=local.name,
                    done=done,
                    total=size,
                ),
            )
            link.rename(part, remote, deadline)
        except BaseException:
            cleaning = Deadline.after("removing an unfinished upload", 5.0)
            link.run(["rm", "-f", part], cleaning)
            raise
        return sent

    def _make_room(self, local: Path, link: SshLink, deadline: Deadline) -> None:
        """Make the folder, and refuse an upload that does not fit before it fills the disk."""
        script = 'mkdir -p "$0" && df -Pk "$0"'
        table = link.check_run(["sh", "-c", script, self._folder], deadline)
        needed = local.stat().st_blocks * 512
        free = int(table.splitlines()[-1].split()[3]) * 1024
        if needed > free:
            raise InfrastructureError(
                f"the host's disk has {free >> 20} MiB free below {self._folder}, "
                f"{local.name} needs {needed >> 20} MiB",
                hint="give the host's image more room",
            )
