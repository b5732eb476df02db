# SPDX-License-Identifier: MIT
"""The guest's disk that carries tests in and results out: plain tars, both ways.

The disk is a file in the VM's folder on the host.  It is as large as tests may be, but sparse: it
takes only the room of its content.  The host's store holds a large tree of tests once for all VMs
and definitions, and the host copies it to the disk.

If a guest does not find the disk, such as a ramdisk without the driver, the tests are typed on its
console, slowly.
"""

from __future__ import annotations

import re
import shlex
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.shell_programs import typed_program
from lava_vmgroup.connections.link import Link
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.typed_files import Typed, TypedFiles
from lava_vmgroup.testdefs.overlay import unpacking_s
from lava_vmgroup.testshell.collected import MAX_BYTES

OVERLAY_SERIAL = "lava-overlay"
"""The serial number by which a guest finds the disk with the test shell's files."""

DISK_BYTES = 1 << 30
"""The disk's size.  Some programs of 32-bit systems refuse files of 2 GiB or more."""

_LOOK_S = 60.0
_TYPED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredTar:
    """A tar archive on the host, with its size in bytes."""

    path: str
    size: int


def refuse_large(size: int) -> None:
    """Raise `JobError` if tests of `size` bytes do not fit the disk."""
    if size > DISK_BYTES:
        raise JobError(
            f"the tests and their repositories have {size >> 20} MiB, "
            f"a VM takes {DISK_BYTES >> 20} MiB",
            hint="have the tests download what is large",
        )


class OverlayDisk:
    """The overlay disk of a running guest."""

    def __init__(self, path: str, link: Link, shell: Shell, log: NodeLog) -> None:
        """`path` is the disk's file on the host."""
        self._path = path
        self._link = link
        self._shell = shell
        self._log = log

    def is_found(self, deadline: Deadline) -> bool:
        """Return whether the guest sees the disk."""
        limit = deadline.sub("the guest's disk for tests", _LOOK_S)
        return self._shell.run(_on_the_disk("f=0"), limit)[0] == 0

    def unpack(
        self, archive: bytes, directory: str, trees: Sequence[StoredTar], deadline: Deadline
    ) -> None:
        """Put a tar archive on the disk; the guest unpacks it at ``/``, which makes `directory`.

        Then unpacks the `trees` in the folders ``trees/0``, ``trees/1`` and so on of `directory`.
        Blocks until the guest has finished.  Raises `JobError` if all that is larger than the disk,
        and `InfrastructureError` if the host or the guest fails.
        """
        refuse_large(len(archive) + sum(tree.size for tree in trees))
        self._link.put_bytes(archive, self._path, deadline)
        # lava-test-runner renames its list of work, so this file can only be from this archive.
        made = f"{directory}/lava-test-runner.conf"
        position = self._read(0, len(archive), "/", made, deadline)
        for number, tree in enumerate(trees):
            self._copy(tree, position, deadline)
            folder = f"{directory}/trees/{number}"
            position = self._read(position, tree.size, folder, f"{folder}/.", deadline)

    def type(
        self, archive: bytes, directory: str, trees: Sequence[Path], deadline: Deadline
    ) -> None:
        """Do the same as `unpack`, by typing on the console; `trees` are on the dispatcher.

        Logs a warning.  Raises `JobError` if the archives are too large to be typed.
        """
        self._log.warning("overlay", "the guest sees no overlay disk: typing the tests, slowly")
        folders = [f"{directory}/trees/{number}" for number, _ in enumerate(trees)]
        packed = [path.read_bytes() for path in trees]
        archives = [Typed("/", archive), *map(Typed, folders, packed)]
        TypedFiles(self._shell, directory).unpack(archives, deadline)

    def collect(self, directory: str, deadline: Deadline) -> bytes:
        """Have the guest pack the results in `directory`, and return the tar.

        The tar comes by the disk, or by the console if the guest does not find the disk.  The tar
        has 64 MiB or 1 MiB at most, and names the results that do not fit.
        """
        pack = typed_program("vms/pack_disk.sh")
        command = _on_the_disk(pack, shlex.quote(directory), str(MAX_BYTES))
        _, output = self._shell.run(command, deadline)
        if packed := re.search(r"packed (\d{1,15}) bytes", output):
            size = min(int(packed[1]), MAX_BYTES)
            return self._link.get_bytes(self._path, size, deadline)
        pack = f"{directory}/bin/lava-pack-results {directory} {_TYPED_BYTES}"
        return TypedFiles(self._shell, directory).read(pack, _TYPED_BYTES, deadline)

    def _copy(self, tree: StoredTar, position: int, deadline: Deadline) -> None:
        """Copy a stored archive to the disk, over the old content, from record `position` on."""
        words = ["dd", f"if={tree.path}", f"of={self._path}", f"bs={tarfile.RECORDSIZE}"]
        command = [*words, f"seek={position}", "conv=notrunc"]
        limit = deadline.sub("copying the tests to the VM's disk", unpacking_s(tree.size))
        copied = self._link.run_again(command, limit)
        if copied.status != 0:
            raise InfrastructureError(
                f"the host cannot copy the tests to the VM's disk: {_last_line(copied.output)}",
                hint="is the host's disk full?",
            )

    def _read(self, position: int, size: int, folder: str, made: str, deadline: Deadline) -> int:
        """Have the guest unpack, in `folder`, the archive of `size` bytes at a record of the disk.

        Returns the number of the record after the archive.  Raises `InfrastructureError` if the
        guest fails, or if the path `made` does not exist afterwards.
        """
        records = -(-size // tarfile.RECORDSIZE)
        numbers = map(str, (tarfile.RECORDSIZE, position, records))
        work = typed_program("vms/unpack_disk.sh")
        command = _on_the_disk(work, *numbers, shlex.quote(folder), shlex.quote(made))
        limit = deadline.sub("unpacking the tests", unpacking_s(size))
        status, said = self._shell.run(command, limit)
        if status != 0:
            raise InfrastructureError(
                f"the guest cannot unpack {size >> 10} KiB of tests: {_last_line(said)}",
                hint="has the guest tar and dd, and room for the tests?",
                last_lines=said.splitlines()[-20:],
            )
        return position + records


def _on_the_disk(work: str, *words: str) -> str:
    """Return a shell line that finds the disk and does `work` for `words`; see on_the_disk.sh."""
    program = typed_program("vms/on_the_disk.sh", OVERLAY_SERIAL, *words)
    return f"lava_work() {{ {work}; }}; {program}"


def _last_line(said: str) -> str:
    return next(reversed(said.strip().splitlines()), "it does not say why")
