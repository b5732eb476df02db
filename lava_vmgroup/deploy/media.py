# SPDX-License-Identifier: MIT
"""Writing a disk image to a board's boot medium, which the dispatcher can open.

The medium is a block device behind an SD-mux, or the disk file of an emulated board.  A device
appears some seconds after the mux has switched, so it is waited for, and never created as a file.
It is opened with ``O_EXCL``, so the kernel lets no one mount it in the meantime.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, DeadlineExpired, InfrastructureError
from lava_vmgroup.base.sparse import data_blocks

_BLOCK = 1 << 20
_APPEARS_S = 60.0
_POLL_S = 0.5
_SAMPLES = 16
"""Blocks that are read back; a broken or counterfeit card loses many."""
_LATE = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM)
_DEVICES, _SHARED_MEMORY = Path("/dev"), Path("/dev/shm")  # noqa: S108 - only compared


class _NotYet(Exception):
    """The error for a medium that may still appear; the message describes its state."""


def write_image(
    image: Path, medium: Path, deadline: Deadline, progress: Callable[[int, int], None]
) -> None:
    """Write `image` to `medium`; the board must be off.

    In a file, holes stay holes.  A block device may hold old data in their place, so everything is
    written.  Calls `progress` with bytes done and bytes in all.  Blocks until a missing device
    appears.  Raises `ConfigurationError` if `medium` is not a boot medium, and
    `InfrastructureError` for a device that does not appear, is smaller than the image, fails, or
    does not keep the data.
    """
    size = image.stat().st_size
    fd, room = _opened(medium, deadline)
    try:
        if room is not None and room < size:
            raise InfrastructureError(
                f"the boot medium {medium} has {room >> 20} MiB, the image {size / (1 << 20):.1f}",
                hint="use a larger card or a smaller image",
            )
        with image.open("rb") as source:
            _write(fd, source, progress, deadline, sparse=room is None)
            _verify(fd, source, size, medium, deadline)
    except OSError as error:
        raise InfrastructureError(
            f"cannot write the boot medium {medium}: {error.strerror}",
            hint="check card, reader and SD-mux; the dispatcher's kernel log may say more",
        ) from error
    finally:
        # A failed device may raise again at close; by then the result is known.
        with contextlib.suppress(OSError):
            os.close(fd)


def check(medium: Path) -> str:
    """Open a medium without writing to it; return a description, "" if it may still appear.

    Raises `ConfigurationError` for a path that is not a medium, and `InfrastructureError` if it is
    read-only.
    """
    try:
        fd, room = _open(medium)
    except _NotYet:
        return ""
    os.close(fd)
    return "a disk file" if room is None else f"a device of {room >> 20} MiB"


def _opened(medium: Path, deadline: Deadline) -> tuple[int, int | None]:
    """Return the medium as a file descriptor, once it is there, and the size of a device."""
    limit = deadline.sub(f"the boot medium {medium}", _APPEARS_S)
    while True:
        try:
            return _open(medium)
        except _NotYet as error:
            seen = str(error)
        try:
            limit.pause(_POLL_S)
        except DeadlineExpired as error:
            if deadline.expired:
                raise
            raise InfrastructureError(
                f"{error.message}: {seen}",
                hint="check media_device, and that media_attach_command gives the card to "
                "the dispatcher",
            ) from error


def _open(medium: Path) -> tuple[int, int | None]:
    try:
        mode = medium.stat().st_mode
        _refuse(medium, mode)
        if stat.S_ISREG(mode):
            return os.open(medium, os.O_RDWR | os.O_CLOEXEC), None
        fd = os.open(medium, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        raise _explained(medium, error) from error
    try:
        room = os.lseek(fd, 0, os.SEEK_END)
        if room == 0:
            raise _NotYet("its size is 0, so there is no card in it")
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError):
            raise _explained(medium, error) from error
        raise
    return fd, room


def _explained(medium: Path, error: OSError) -> Exception:
    if error.errno in _LATE:
        dangling = medium.is_symlink() and not medium.exists()
        return _NotYet(
            f"it leads to {medium.readlink()}, which is not there"
            if dangling
            else "it is not there"
        )
    if error.errno == errno.EBUSY:
        users = ", ".join(_mounts(medium)) or "another program"
        return ConfigurationError(
            f"the boot medium {medium} is in use on the dispatcher: {users}",
            hint="unmount it, keep the desktop from mounting it, or correct media_device",
        )
    return ConfigurationError(
        f"cannot open the boot medium {medium}: {error.strerror}",
        hint="make it writable for the dispatcher's user, such as by the group disk",
    )


def _refuse(medium: Path, mode: int) -> None:
    """Raise an error if the medium is not a whole disk, or is read-only."""
    whole = medium.resolve()
    wrong = hint = ""
    if stat.S_ISREG(mode):
        if whole.is_relative_to(_DEVICES) and not whole.is_relative_to(_SHARED_MEMORY):
            wrong = "is a plain file among the devices, left by a program that found no device"
            hint = f"remove {whole}"
    elif not stat.S_ISBLK(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFCHR: "a character device"}
        wrong = f"is {kinds.get(stat.S_IFMT(mode), 'no device')}, not a block device"
    elif _is_read_only(medium):
        raise InfrastructureError(
            f"the boot medium {medium} is read-only", hint="open the lock on the card"
        )
    elif (_sysfs(medium) / "partition").exists():
        disk = _sysfs(medium).resolve().parent.name
        wrong = f"is a partition of /dev/{disk}, and an image has partitions of its own"
        hint = "name the whole disk in media_device"
    if wrong:
        raise ConfigurationError(
            f"the boot medium {medium} {wrong}", hint=hint or "correct media_device"
        )


def _sysfs(device: Path) -> Path:
    number = device.stat().st_rdev
    return Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")


def _is_read_only(device: Path) -> bool:
    try:
        return (_sysfs(device) / "ro").read_text().strip() == "1"
    except OSError:
        return False


def _mounts(device: Path) -> Iterator[str]:
    """Yield the folders where the device or a partition of it is mounted."""
    try:
        folder = _sysfs(device).resolve()
        numbers = [file.read_text().strip() for file in (folder / "dev", *folder.glob("*/dev"))]
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            words = line.split()
            if words[2] in numbers:
                yield words[4]
    except OSError:
        return


def _write(
    fd: int,
    source: BinaryIO,
    progress: Callable[[int, int], None],
    deadline: Deadline,
    *,
    sparse: bool,
) -> None:
    size = os.fstat(source.fileno()).st_size
    if sparse:
        os.ftruncate(fd, 0)
    for position, block in data_blocks(source, _BLOCK) if sparse else _all_blocks(source):
        deadline.check()
        _write_at(fd, position, block)
        progress(position + len(block), size)
    if sparse:
        os.ftruncate(fd, size)
    os.fsync(fd)


def _write_at(fd: int, position: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        done = os.pwrite(fd, view, position)
        view, position = view[done:], position + done


def _verify(fd: int, source: BinaryIO, size: int, medium: Path, deadline: Deadline) -> None:
    """Read some blocks back, the first and the last among them; raise if one differs.

    A card that claims too much room overwrites its beginning with later blocks.
    """
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # have the card read, not the memory
    step = max(_BLOCK, size // _SAMPLES // _BLOCK * _BLOCK)
    for position in sorted({*range(0, size, step), max(0, size - _BLOCK)}):
        deadline.check()
        wanted = os.pread(source.fileno(), _BLOCK, position)
        if os.pread(fd, len(wanted), position) != wanted:
            raise InfrastructureError(
                f"the boot medium {medium} holds something else at {position >> 20} MiB than was "
                "written there",
                hint="replace the card: it is worn out, or smaller than it says",
            )


def _all_blocks(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    position = 0
    while block := source.read(_BLOCK):
        yield position, block
        position += len(block)
