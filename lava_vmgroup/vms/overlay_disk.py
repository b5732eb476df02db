# SPDX-License-Identifier: MIT
"""The guest's disk that carries test shells in and results out: a plain tar, both ways.

The disk is a file of the VM's on the host.  A guest that finds no such disk (a ramdisk without
the driver) is served by its console, slowly.
"""

from __future__ import annotations

import re
import tarfile

from lava_vmgroup.connections.ssh import SshLink
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.typed_files import read_typed, unpack_typed
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import JobError
from lava_vmgroup.log import NodeLog
from lava_vmgroup.vms.qemu import OVERLAY_SERIAL

DISK_BYTES = 32 << 20
"""The disk's size; its file on the host has holes where nothing was written."""

_UNPACK_S = 60.0
_TYPING_S = 300.0
_TYPED_BYTES = 1 << 20

# A process takes a slow guest a tenth of a second, so what the shell has built in is used.
_FOR_THE_DISK = (
    "for d in /sys/block/*; do s=; {{ read -r s <$d/serial; }} 2>/dev/null; "
    '[ "$s" = {serial} ] || continue; '
)

# The guest may have read the disk before, and the archive is all that it has to read of it.
_UNPACK = (
    f"{_FOR_THE_DISK}"
    "d=/dev/${{d##*/}}; blockdev --flushbufs $d 2>/dev/null; "
    "dd if=$d bs={record} count={records} 2>/dev/null | tar -xf - -C /; break; done; "
    # The runner renames the list of work, so a list is that of this archive.
    "[ -f {directory}/lava-test-runner.conf ]"
)

# The guest's own cache has to be written out, then the host's file has it all.
_PACK = (
    f"{_FOR_THE_DISK}"
    "read -r n <$d/size; "
    "n=$({directory}/bin/lava-pack-results {directory} $((n * 512)) 2>/dev/null "
    "| tee /dev/${{d##*/}} | wc -c); sync; echo packed $n bytes; break; done"
)


class OverlayDisk:
    """The overlay disk of a running guest."""

    def __init__(self, path: str, link: SshLink, shell: Shell, log: NodeLog) -> None:
        """`path` is the disk's file on the host."""
        self._path = path
        self._link = link
        self._shell = shell
        self._log = log

    def unpack(self, archive: bytes, directory: str, deadline: Deadline) -> None:
        """Have the guest unpack a tar archive at its root, which makes `directory`.

        Raises JobError when the archive is larger than the disk.
        """
        if len(archive) > DISK_BYTES:
            raise JobError(
                f"the tests and their repositories have {len(archive) >> 20} MiB, "
                f"a VM takes {DISK_BYTES >> 20} MiB",
                hint="have the tests download what is large",
            )
        self._link.put_bytes(archive, self._path, deadline)
        command = _UNPACK.format(
            serial=OVERLAY_SERIAL,
            record=tarfile.RECORDSIZE,
            records=-(-len(archive) // tarfile.RECORDSIZE),
            directory=directory,
        )
        status, _ = self._shell.run(command, deadline.sub("unpacking the tests", _UNPACK_S))
        if status != 0:
            self._log.warning("overlay", "the guest sees no overlay disk: typing the tests, slowly")
            unpack_typed(self._shell, archive, deadline.sub("typing the tests", _TYPING_S))

    def collect(self, directory: str, deadline: Deadline) -> bytes:
        """The tar that the guest packs of the results in `directory`."""
        command = _PACK.format(serial=OVERLAY_SERIAL, directory=directory)
        _, output = self._shell.run(command, deadline)
        if packed := re.search(r"packed (\d{1,15}) bytes", output):
            size = min(int(packed[1]), DISK_BYTES)
            return self._link.get_bytes(self._path, size, deadline)
        pack = f"{directory}/bin/lava-pack-results {directory} {_TYPED_BYTES}"
        return read_typed(self._shell, pack, _TYPED_BYTES, deadline)
