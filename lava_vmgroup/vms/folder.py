# SPDX-License-Identifier: MIT
"""One virtual machine's folder on the host: its own files, its programs, and the end of both.

Every program of the VM carries the folder in its environment, so that those which went into the
background are found again by it, and only they.
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
from lava_vmgroup.connections.program import run_tool
from lava_vmgroup.connections.ssh import SshLink
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.vms.overlay_disk import DISK_BYTES
from lava_vmgroup.vms.spool import Spool, SpooledStream
from lava_vmgroup.vms.supervisor import Supervisor

OVERLAY = "overlay.tar"
"""The file behind the guest's disk with the test shell's files."""

LAYER = "disk.qcow2"
"""What the guest writes to its disk, over the image."""

LAUNCH = "launch"
"""For a VM launched by its job: the program that launches it as usual."""

CONSOLE = "console"
"""What QEMU's names for the console's two ends begin with."""

RECORDS = "records.out"
"""What the guest writes to its port for records."""

_SAID_BYTES = "65536"
"""How much of what a program said before its end is of interest."""
_STOP_S = 10.0
_SPOOL_BYTES = 4 << 30
"""How much a VM may write to its console, and as much to its records, in all."""

# When the job's folder is gone, or the VM's, the job has ended and nothing may start.
_MAKE = 'mkdir "$0" && cd "$0" && truncate -s "$1" "$2" && : >"$3" && tar -xf -'

# A file takes the output, so that what a command leaves in the background holds nobody up.
_COMMAND = 'cd "$0" && exec sh -c "$1" >launch.log 2>&1 </dev/null'
# The host's terminal passes on what is typed, and the guest alone echoes it.
_ON_TERMINAL = 'cd "$0" && { stty raw -echo 2>/dev/null; exec sh -c "$1"; }'


class VMFolder:
    """A VM's folder on the host, reached by the VM's own link."""

    def __init__(self, name: str, supervisor: Supervisor, link: SshLink) -> None:
        self.path = f"{supervisor.folder}/{name}"
        self._supervisor = supervisor
        self._link = link
        self._mark = supervisor.mark(name)

    def make(self, programs: Mapping[str, bytes], deadline: Deadline) -> None:
        """Make the folder with an empty overlay and these small programs."""
        command = ["sh", "-c", _MAKE, self.path, str(DISK_BYTES), OVERLAY, RECORDS]
        self._link.check_run(command, deadline, stdin=_archive(programs))

    def add_layer(self, disk: str, size: int, work: Path, deadline: Deadline) -> None:
        """Add a copy-on-write layer over a raw `disk` of `size` bytes."""
        layer = work / f"{Path(self.path).name}.qcow2"
        # Made here: qemu-img is not on every host that has QEMU.
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw"]
        made = run_tool([*command, "-b", disk, str(layer), str(size)], deadline)
        if made.returncode != 0:
            words = made.stderr.decode(errors="replace").strip()
            raise InfrastructureError(f"qemu-img cannot make {layer.name}: {words}")
        self._link.put(layer, f"{self.path}/{LAYER}", deadline)

    def add_flash(self, stored: Sequence[str], deadline: Deadline) -> None:
        """Add a copy of each of these files of the host's, for the guest to write to."""
        for number, source in enumerate(stored):
            target = f"{self.path}/{flash_name(number)}"
            self._link.check_run(["cp", source, target], deadline)

    def start(self, argv: Sequence[str], deadline: Deadline, *, disk_bytes: int = 0) -> ByteStream:
        """Start a QEMU whose console is the pipe `CONSOLE`; returns the console.

        `disk_bytes` is the size of the largest file that it may write.
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

    def records(self, position: int, deadline: Deadline) -> SpooledStream:
        """What the guest writes to its port for records, from a position on."""
        spool = Spool(folder=self.path, file=RECORDS, mark=self._mark)
        return SpooledStream(spool, self._link, deadline, position)

    def start_by(
        self, commands: Sequence[str], environment: Mapping[str, str], deadline: Deadline
    ) -> ByteStream:
        """Run shell commands one after the other; the last is attached to as the VM's console.

        Raises `JobError` when one before the last fails.
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
        """What the program that `start` started said on its standard error."""
        return self._lines_of("qemu.err", deadline)

    def remove(self, deadline: Deadline) -> None:
        """End the VM's programs, by force where they do not listen; remove its folder and claim."""
        limit = deadline.sub("stopping the VM's programs", _STOP_S)
        self._supervisor.remove_vm(self.path, self._link, limit)

    def _lines_of(self, name: str, deadline: Deadline) -> list[str]:
        read = self._link.run(["tail", "-c", _SAID_BYTES, f"{self.path}/{name}"], deadline)
        return read.output.strip().splitlines() if read.status == 0 else []


def flash_name(number: int) -> str:
    """The file behind one of the guest's flash memories."""
    return f"pflash{number}"


def launch_program(before: Sequence[str], after: Sequence[str]) -> bytes:
    """A shell program that runs these words with its own arguments in between."""
    return f'#!/bin/sh\nexec {shlex.join(before)} "$@" {shlex.join(after)}\n'.encode()


def _archive(programs: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in programs.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
