# SPDX-License-Identifier: MIT
"""Writing a disk image over SSH to a disk of the system at the other end.

That system needs little: ``dd``, ``gzip``, ``blockdev`` and a shell, as in busybox.  The data is
sent compressed: such systems decrypt slowly, and their networks are slow.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.base.sparse import data_blocks
from lava_vmgroup.connections.link import Link

_BLOCK = 4 << 20
_LOOK_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The bytes of an image that were sent, before compression, and those that were zeroed."""

    sent: int
    zeroed: int


def write_disk(
    image: Path,
    disk: str,
    link: Link,
    deadline: Deadline,
    progress: Callable[[int, int], None],
) -> Written:
    """Write `image` to the device `disk` at the other end of `link`; holes are zeroed there.

    Calls `progress` with the position reached and the image's size, in bytes.  Raises
    `ConfigurationError` if there is no such disk or it is in use, and `InfrastructureError` if it
    is too small or the writing fails.
    """
    size = image.stat().st_size
    _check_disk(disk, size, link, deadline)
    sent = end = 0

    def told(blocks: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
        nonlocal sent, end
        for position, block in blocks:
            deadline.check()
            yield block
            sent, end = sent + len(block), position + len(block)
            progress(end, size)

    with image.open("rb") as source:
        for start, blocks in _runs(data_blocks(source, _BLOCK)):
            _zero(disk, end, start, link, deadline)
            _write(disk, start, told(blocks), link, deadline)
    whole = size - size % _BLOCK
    _zero(disk, end, whole, link, deadline)
    if end < size:
        _write(disk, max(end, whole), iter([bytes(size - max(end, whole))]), link, deadline)
    link.check_run(["sync"], deadline)
    progress(size, size)
    return Written(sent=sent, zeroed=size - sent)


def _runs(
    blocks: Iterator[tuple[int, bytes]],
) -> Iterator[tuple[int, Iterator[tuple[int, bytes]]]]:
    """Yield the position of each run of adjacent blocks, and its blocks."""
    counter = itertools.count()
    for _, run in itertools.groupby(blocks, lambda block: block[0] // _BLOCK - next(counter)):
        first = next(run)
        yield first[0], itertools.chain([first], run)  # noqa: B031 - the first, then the rest


def _check_disk(disk: str, size: int, link: Link, deadline: Deadline) -> None:
    limit = deadline.sub("looking at the board's disk", _LOOK_S)
    result = link.run(sh_command("deploy/check_disk.sh", disk), limit)
    words = result.output.split("\n")
    if result.status == 0 and not re.fullmatch("[0-9]{1,18}", words[0]):
        raise InfrastructureError(f"the board does not tell the size of {disk}: {words[0][:80]!r}")
    if result.status != 0:
        raise ConfigurationError(
            f"cannot write the board's disk {disk}: {' '.join(words).strip()}",
            hint="set master_testdisk to a whole disk that the master image sees and does not use",
        )
    if int(words[0]) < size:
        raise InfrastructureError(
            f"the board's disk {disk} has {int(words[0]) >> 20} MiB, the image {size >> 20} MiB",
            hint="use a smaller image or another board",
        )


def _write(disk: str, start: int, data: Iterator[bytes], link: Link, deadline: Deadline) -> None:
    command = sh_command("deploy/write_disk.sh", disk, str(_BLOCK), str(start // _BLOCK))
    said = link.check_run(command, deadline, stdin=_compressed(data))
    if "unpacked: 0" not in said:
        raise InfrastructureError(
            f"the board could not unpack what is for its disk {disk}", last_lines=said.splitlines()
        )


def _compressed(data: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=31)
    for block in data:
        yield packer.compress(block)
    yield packer.flush()


def _zero(disk: str, start: int, end: int, link: Link, deadline: Deadline) -> None:
    if start < end:
        words = (disk, str(start), str(end - start), str(_BLOCK))
        link.check_run(sh_command("deploy/zero_disk.sh", *words), deadline)
