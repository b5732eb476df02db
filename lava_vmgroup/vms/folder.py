# SPDX-License-Identifier: MIT
"""A VM's folder on the host: its files, its programs, and the removal of both.

Every program of the VM has the folder in its environment, by `Supervisor.mark`.  The supervisor
finds the VM's programs by this mark, also those that went into the background, and no others.
"""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.attached import AttachedStream
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.program import run_tool
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.vms.overlay_disk import DISK_BYTES
from lava_vmgroup.vms.spool import Spool, SpooledStream
from lava_vmgroup.vms.supervisor import Supervisor

OVERLAY = "overlay.tar"
"""The file behind the guest's disk with the test shell's files."""

LAYER = "disk.qcow2"
"""The copy-on-write layer over the image, which receives the guest's writes to its disk."""

LAUNCH = "launch"
"""The program that launches a VM as usual, for the commands of ``launch_with``."""

CONSOLE = "console"
"""The name of the console's pipe; QEMU adds ``.in`` and ``.out`` for its two ends."""

RECORDS = "records.out"
"""The file with the records that the guest writes to its port for them."""

_SAID_BYTES = "65536"
"""Bytes that are read of the end of a program's output."""
_STOP_S = 10.0
_SPOOL_BYTES = 4 << 30
"""Bytes by which a VM's files may outgrow its disk: the console and the records only grow."""

# These commands fail if the job's folder or the VM's is gone.  Then the job has ended, and nothing
# may start.
_MAKE = 'mkdir "$0" && cd "$0" && truncate -s "$1" "$2" && : >"$3" && tar -xf -'

_UNDO = 'printf "%s\\n" "$1" >>"$0"'

# The output goes to a file: if a program in the background had the SSH channel for its output, the
# dispatcher would wait for its end.
_COMMAND = 'cd "$0" && exec sh -c "$1" >launch.log 2>&1 </dev/null'
# The host's terminal passes all input on unchanged, and only the guest echoes it.
_ON_TERMINAL = 'cd "$0" && { stty raw -echo 2>/dev/null; exec sh -c "$1"; }'


class VMFolder:
    """A VM's folder on the host; its methods use the VM's own link."""

    def __init__(self, name: str, supervisor: Supervisor, link: Link) -> None:
        self.path = f"{supervisor.folder}/{name}"
        self._supervisor = supervisor
        self._link = link
        self._mark = supervisor.mark(name)
        self._undo_file = supervisor.undo_file(name)

    def make(self, programs: Mapping[str, bytes], deadline: Deadline) -> None:
        """Make the folder with an empty overlay disk, an empty file for records, and `programs`.

        The keys of `programs` are file names, the values contents.  Raises `InfrastructureError` if
        the job's folder is gone.
        """
        command = ["sh", "-c", _MAKE, self.path, str(DISK_BYTES), OVERLAY, RECORDS]
        self._link.check_run(command, deadline, stdin=_archive(programs))

    def add_layer(self, disk: str, size: int, work: Path, deadline: Deadline) -> None:
        """Add a copy-on-write layer over `disk`, a raw image on the host of `size` bytes.

        `work` is a folder of the dispatcher for the new layer.  Raises `InfrastructureError` if
        ``qemu-img`` fails.
        """
        layer = work / f"{Path(self.path).name}.qcow2"
        # The dispatcher makes the layer: some hosts have QEMU without qemu-img.
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw"]
        made = run_tool([*command, "-b", disk, str(layer), str(size)], deadline)
        if made.returncode != 0:
            words = made.stderr.decode(errors="replace").strip()
            raise InfrastructureError(f"qemu-img cannot make {layer.name}: {words}")
        self._link.put(layer, f"{self.path}/{LAYER}", deadline)

    def add_flash(self, stored: Sequence[str], deadline: Deadline) -> None:
        """Copy the files `stored` on the host into the folder, as flash for the guest to write."""
        for number, source in enumerate(stored):
            target = f"{self.path}/{flash_name(number)}"
            self._link.check_run(["cp", source, target], deadline)

    def start(self, argv: Sequence[str], deadline: Deadline, *, disk_bytes: int = 0) -> ByteStream:
        """Start the VM's program with the command `argv`, and return its console.

        The command makes the pipe `CONSOLE` its console.  `disk_bytes` is the size of the VM's
        disk, from which the limit for the files that QEMU writes follows.  Raises
        `InfrastructureError` if the folder is gone.
        """
        blocks = (max(disk_bytes, DISK_BYTES) + _SPOOL_BYTES) // 512
        program = sh_command("vms/launch.sh", self.path, CONSOLE, str(blocks), *argv)
        self._link.check_run(["env", self._mark, *program], deadline)
        spool = Spool(
            folder=self.path,
            file=f"{CONSOLE}.out",
            pipe=f"{CONSOLE}.in",
            pid_file="pid",
            mark=self._mark,
        )
        return SpooledStream(spool, self._link, deadline)

    def will_undo(self, argv: Sequence[str], deadline: Deadline) -> None:
        """Have the supervisor run `argv` when the VM is removed, after its programs have ended.

        It is for things of the VM that are neither processes nor files of this folder.  Call it
        before such a thing is made.  The command must succeed if the thing is not there, as it
        may be run again; it has 30 s.  The last command comes first.  Raises `InfrastructureError`
        if the job has ended.
        """
        self._link.check_run(["sh", "-c", _UNDO, self._undo_file, shlex.join(argv)], deadline)

    def records(self, position: int, deadline: Deadline) -> SpooledStream:
        """Return the guest's records as a stream that begins with the byte at `position`."""
        spool = Spool(folder=self.path, file=RECORDS, mark=self._mark)
        return SpooledStream(spool, self._link, deadline, position)

    def start_by(
        self, commands: Sequence[str], environment: Mapping[str, str], deadline: Deadline
    ) -> ByteStream:
        """Run shell `commands` one after the other; the last one's terminal is the VM's console.

        `environment` is added to theirs.  Blocks until all but the last have ended, and returns the
        console.  Raises `JobError` if one before the last fails.
        """
        variables = [f"{name}={value}" for name, value in environment.items()]
        start = ["env", self._mark, *variables, "sh", "-c"]
        for command in commands[:-1]:
            done = self._link.run([*start, _COMMAND, self.path, command], deadline)
            if done.status != 0:
                said = self._lines_of("launch.log", deadline) or ["it said nothing"]
                raise JobError(
                    f"launch_with: {command!r} ended with status {done.status} on the host: "
                    f"{said[-1]}"
                )
        last = [*start, _ON_TERMINAL, self.path, commands[-1]]
        return AttachedStream(last, self._link, deadline)

    def complaints(self, deadline: Deadline) -> list[str]:
        """Return the last lines of standard error of the program that `start` started."""
        return self._lines_of("qemu.err", deadline)

    def remove(self, deadline: Deadline) -> None:
        """End the VM's programs, remove its folder, and free the memory reserved for it.

        Kills programs that ignore SIGTERM.  Blocks for 10 s at most, on usual hardware.  Raises
        `InfrastructureError` if something remains.
        """
        limit = deadline.sub("stopping the VM's programs", _STOP_S)
        self._supervisor.remove_vm(self.path, self._link, limit)

    def _lines_of(self, name: str, deadline: Deadline) -> list[str]:
        read = self._link.run(["tail", "-c", _SAID_BYTES, f"{self.path}/{name}"], deadline)
        return read.output.strip().splitlines() if read.status == 0 else []


def flash_name(number: int) -> str:
    """Return the name of the file behind a flash memory of the guest; `number` counts from 0."""
    return f"pflash{number}"


def launch_program(before: Sequence[str], after: Sequence[str]) -> bytes:
    """Return a shell program that runs the words `before`, its own arguments, and `after`."""
    return f'#!/bin/sh\nexec {shlex.join(before)} "$@" {shlex.join(after)}\n'.encode()


def _archive(programs: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in programs.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
