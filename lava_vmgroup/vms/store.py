# SPDX-License-Identifier: MIT
"""The image store on the host: each content once, however many VMs use it.

The host's part of it is ``store.sh``.  The life of a file:

1. A node claims the file for its job.  From then on, nothing removes it until the job ends.
2. If the file is missing, the node locks the store, makes room, and uploads the file under a name
   of its own.  To make room, it removes the least recently used files that no job uses.
3. A complete upload is flushed to the disk and then gets its name, the SHA-256 of its content.  So
   nothing uses the rest of a broken transfer or of a power cut.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.once import Once
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.link import Link
from lava_vmgroup.results.model import Upload
from lava_vmgroup.vms.stored_file import StoredFile
from lava_vmgroup.vms.supervisor import Supervisor, job_folder

_CLEAN_S = 5.0
_LOOK_S = 0.5
"""Seconds between two tries to lock the store."""

_TAKEN = "taken"


_STORED = "stored"
_DAMAGED = "damaged"


@dataclass(slots=True)
class _Entry:
    """One file of the job, with the nodes that use it; sizes are in bytes."""

    size: int = 0
    bytes_sent: int = 0
    used_by: list[str] = field(default_factory=list)


class ImageStore:
    """Files on the host by their SHA-256, uploaded over the links of the nodes that need them.

    Any thread may call the methods.  Other dispatchers may fill the same store: one after the
    other, or at the same time if the host has no ``flock``.
    """

    def __init__(self, root: str, job: str, limit_mib: int = 0) -> None:
        """Use the folder `root` on the host for the group `job`.

        All files together may have `limit_mib` MiB; 0 stands for three quarters of the disk.
        """
        self._root = root
        self._limit_mib = limit_mib
        self._folder = f"{root}/sha256"
        self._job = job
        self._entries: defaultdict[str, _Entry] = defaultdict(_Entry)
        self._sent: Once[str, str] = Once()
        self._spare: Once[str, int] = Once()
        self._planned: dict[str, int] = {}
        self._lock = threading.Lock()

    def plan(
        self,
        files: Iterable[StoredFile],
        free: int | None,
        link: Link,
        deadline: Deadline,
    ) -> int:
        """Return the bytes that this process will send, for `files` and those of earlier calls.

        Files that the host has already do not count.  If the sum exceeds `free` bytes, later calls
        forget these files.
        """
        wanted = {
            file.digest: file.path.stat().st_blocks * 512
            for file in files
            if link.size_of(self._remote(file), deadline) != file.path.stat().st_size
        }
        with self._lock:
            planned = {**wanted, **self._planned}
            needed = sum(planned.values())
            if free is None or needed <= free:
                self._planned = planned
            return needed

    def room(self, free: int | None, link: Link, deadline: Deadline) -> int | None:
        """Return the bytes that this process's files may take in all, or None if `free` is None.

        `free` bytes were free before the first file; files of the store that no job uses add to
        them, because they can be removed.
        """
        if free is None:
            return None
        return free + self._spare.get(
            self._root, lambda: self._sizes(link, deadline, 1, "spare")[0], deadline
        )

    def put(self, file: StoredFile, link: Link, log: NodeLog, deadline: Deadline) -> str:
        """Upload the file if the host does not have it, and return its path there.

        Blocks while another node sends the same content, and while another dispatcher fills the
        store.  Raises `InfrastructureError` if there is no room or the upload fails.
        """
        with self._lock:
            entry = self._entries[file.digest]
            if log.node not in entry.used_by:
                entry.used_by.append(log.node)
        entry.size = file.path.stat().st_size

        def send() -> str:
            entry.bytes_sent += self._ensure(file, link, log, deadline)
            return self._remote(file)

        return self._sent.get(file.digest, send, deadline)

    def _remote(self, file: StoredFile) -> str:
        """Return the path of the file on the host."""
        return f"{self._folder}/{file.digest}"

    def _ensure(self, file: StoredFile, link: Link, log: NodeLog, deadline: Deadline) -> int:
        """Upload the file if the host does not have it; return the number of bytes sent."""
        if self._claim(file, link, log, deadline):
            return 0
        supervisor = Supervisor(job_folder(self._root, self._job))
        # The lock is on the folder itself, so no lock file is left behind.
        lock = ["env", supervisor.mark(log.node), *sh_command("vms/hold_store.sh", self._folder)]
        with _held(lock, link, log, deadline):
            if self._claim(file, link, log, deadline):
                return 0
            self._make_room(file, link, deadline)
            return self._send(file, link, log, deadline)

    def _claim(self, file: StoredFile, link: Link, log: NodeLog, deadline: Deadline) -> bool:
        """Return whether the host has the file; it then stays until the job ends.

        Blocks while the host checks a file that a power cut may have damaged, and logs a warning if
        it was.
        """
        match self._ask(link, deadline, "claim", file.digest, self._job).split():
            case [said, size] if said == _STORED:
                return size == str(file.path.stat().st_size)
            case [said] if said == _DAMAGED:
                name = file.path.name
                text = f"the host's copy of {name} was damaged, as by a power cut: sending it"
                log.warning("store", text)
        return False

    def _ask(self, link: Link, deadline: Deadline, *words: str) -> str:
        """Run a command of ``store.sh`` on the host, and return its output.

        Raises `InfrastructureError` if it fails.
        """
        answer = link.run_again(sh_command("vms/store.sh", self._root, *words), deadline)
        if answer.status != 0:
            said = answer.output.strip().splitlines() or [f"status {answer.status}"]
            raise InfrastructureError(f"the host's image store fails: {said[-1]}", last_lines=said)
        return answer.output

    def uploads(self) -> tuple[Upload, ...]:
        """Return the files of the store that this process uses, in the order of first use."""
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

    def _send(self, file: StoredFile, link: Link, log: NodeLog, deadline: Deadline) -> int:
        """Upload the file under a name of its own, check it, and give it its final name.

        Returns the number of bytes sent.  Removes the upload if any of that fails.
        """
        name, size = file.path.name, file.path.stat().st_size
        log.event("state", f"uploading {name}", state=f"uploading {name}")
        part = f"{self._remote(file)}.part-{self._job}-{log.node}"
        try:
            sent = link.put(
                file.path,
                part,
                deadline,
                lambda done: log.debug(
                    "progress", f"{name}: {done}/{size}", what=name, done=done, total=size
                ),
            )
            self._check_arrival(file, part, link, deadline)
            self._ask(link, deadline, "keep", part, file.digest)
        except BaseException as error:
            # If the host is out of reach, its supervisor removes the upload later.
            with suppress(VMGroupError):
                limit_s = _CLEAN_S * deadline.scale
                cleaning = Deadline.after("removing an unfinished upload", limit_s)
                link.run(["rm", "-f", part], cleaning)
            if isinstance(error, InfrastructureError):
                raise self._with_room(error.message, link) from error
            raise
        return sent

    def _check_arrival(self, file: StoredFile, part: str, link: Link, deadline: Deadline) -> None:
        """Raise `InfrastructureError` if the upload is damaged; a host may lack ``sha256sum``."""
        found = link.run_again(["sha256sum", part], deadline)
        if found.status != 0 or found.output.split()[:1] == [file.digest]:
            return
        raise InfrastructureError(f"{file.path.name} arrived damaged on the host")

    def _with_room(self, message: str, link: Link) -> InfrastructureError:
        """Return the error of a failed upload with the free room: SFTP servers do not report it."""
        with suppress(VMGroupError):
            limit = Deadline.after("looking at the host's disk", _CLEAN_S)
            free, _, _ = self._make_room_for(0, link, limit)
            message = f"{message} ({free >> 20} MiB are free below {self._folder})"
        return InfrastructureError(message, hint="is the host's disk full, or broken?")

    def _make_room(self, file: StoredFile, link: Link, deadline: Deadline) -> None:
        """Make room for `file`, if necessary by removing files that no job uses.

        Raises `InfrastructureError` if that is not enough.
        """
        name, needed = file.path.name, file.path.stat().st_blocks * 512
        free, used, limit = self._make_room_for(needed, link, deadline)
        if needed > free:
            raise InfrastructureError(
                f"the host's disk has {free >> 20} MiB free below {self._folder}, "
                f"{name} needs {needed >> 20} MiB",
                hint="give the host's image more room",
            )
        if used + needed > limit:
            raise InfrastructureError(
                f"the host's image store may have {limit >> 20} MiB, running jobs use "
                f"{used >> 20} MiB of it, {name} needs {needed >> 20} MiB",
                hint="raise vm_store_limit of the host, or run fewer jobs on it at a time",
            )

    def _make_room_for(self, needed: int, link: Link, deadline: Deadline) -> tuple[int, int, int]:
        """Remove files that no job uses until `needed` bytes fit.

        Returns three numbers of bytes: free on the disk, used by the store, allowed to the store.
        """
        words = ["room", str(-(-needed // 1024)), str(self._limit_mib * 1024)]
        free, used, limit = self._sizes(link, deadline, 3, *words)
        return free, used, limit

    def _sizes(self, link: Link, deadline: Deadline, number: int, *words: str) -> list[int]:
        """Return the host's answer of `number` sizes, in bytes; the host sends KiB."""
        answer = self._ask(link, deadline, *words)
        if not re.fullmatch(rf"(\d{{1,15}}\s+){{{number}}}", answer):
            raise InfrastructureError(f"the host's image store tells no sizes: {answer[:120]!r}")
        return [int(kib) * 1024 for kib in answer.split()]


@contextmanager
def _held(lock: Sequence[str], link: Link, log: NodeLog, deadline: Deadline) -> Iterator[None]:
    """Hold the lock of the store during the block, by the command `lock`.

    Blocks while another process holds it, and logs that once.  The host's kernel frees the lock
    however this process ends.  On a host without ``flock``, there is no lock.
    """
    told = False
    while True:
        with link.holding(lock, deadline) as answer:
            if answer != _TAKEN:
                yield
                return
        if not told:
            log.event("state", "somebody else fills the store", state="waiting for an upload")
            told = True
        deadline.pause(_LOOK_S)
