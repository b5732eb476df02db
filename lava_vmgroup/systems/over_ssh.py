# SPDX-License-Identifier: MIT
"""A booted host: files go over SSH, and records come by a file there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh_access import Access
from lava_vmgroup.connections.stream import CHUNK, ByteStream
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.systems.system import System
from lava_vmgroup.testdefs.overlay import unpacking_s
from lava_vmgroup.testshell.collected import MAX_BYTES, size_to_fetch
from lava_vmgroup.vms.spool import SpooledStream
from lava_vmgroup.vms.stored_file import StoredFile
from lava_vmgroup.vms.supervisor import Supervisor

_FOREIGN, _LEFT_OVER = 3, 4
_LEFTOVERS_S = 120
"""Seconds to wait for the supervisor of an earlier job, which has yet to notice the dead job."""
_CLAIMING_S = _LEFTOVERS_S + 60.0


class OverSsh(System):
    """A booted host behind a link."""

    def __init__(self, shell: Shell, link: Link, access: Access, supervisor: Supervisor) -> None:
        super().__init__(shell)
        self.link = link
        self.access = access
        self._supervisor = supervisor
        self._records_read = 0

    def unpack(
        self, archive: bytes, directory: str, trees: Sequence[StoredFile], deadline: Deadline
    ) -> None:
        """See `System.unpack`.  Raises `JobError` if the host has other files there."""
        self._claim(directory, deadline.sub("an earlier job's files to be removed", _CLAIMING_S))
        size = len(archive) + sum(tree.path.stat().st_size for tree in trees)
        limit = deadline.sub("unpacking the tests", unpacking_s(size))
        command = ["sh", "-c", 'tar -xf - -C / && [ -d "$0" ]', directory]
        self.link.check_run(command, limit, stdin=archive)
        for number, tree in enumerate(trees):
            command = ["tar", "-xf", "-", "-C", f"{directory}/trees/{number}"]
            with tree.path.open("rb") as file:
                self.link.check_run(command, limit, stdin=iter(partial(file.read, CHUNK), b""))

    def collect(self, directory: str, deadline: Deadline) -> bytes:
        """See `System.collect`."""
        words = sh_command("systems/pack_results.sh", directory, str(MAX_BYTES))
        size = size_to_fetch(self.link.check_run(words, deadline))
        packed = f"{directory}/results.tar"
        archive = self.link.get_bytes(packed, size, deadline)
        self.link.check_run(["rm", "-f", packed], deadline)
        return archive

    @contextmanager
    def records(self, deadline: Deadline) -> Iterator[ByteStream]:
        """See `System.records`: the text that tests add to a file, over SSH."""
        stream = SpooledStream(self._supervisor.records, self.link, deadline, self._records_read)
        try:
            yield stream
        finally:
            stream.close()
            self._records_read = stream.position

    @property
    def records_file(self) -> str:
        """See `System.records_file`."""
        return self._supervisor.records.path

    def _claim(self, directory: str, deadline: Deadline) -> None:
        """Have the supervisor remove a folder with the job, unless others have files there."""
        arguments = (directory, self._supervisor.ledger, str(_LEFTOVERS_S))
        claimed = self.link.run(sh_command("systems/claim_folder.sh", *arguments), deadline)
        if claimed.status == _FOREIGN:
            raise JobError(
                f"the host has other files in {directory}, which is removed when the job ends",
                hint="give lava_test_dir a folder that is not there yet",
            )
        if claimed.status == _LEFT_OVER:
            raise InfrastructureError(
                f"an earlier job has left files in {directory} on the host, which are still to be "
                "removed",
                hint="end what uses them on the host; the next job removes them",
            )
        if claimed.status != 0:
            raise InfrastructureError(f"the host takes no tests: {claimed.output.strip()}")
