# SPDX-License-Identifier: MIT
"""Tar archives added to a ramdisk.

The kernel unpacks the cpio archives of a ramdisk one after the other.  So the content of the tar
archives is appended as one more cpio archive.  The kernel replaces a link with a folder of the same
name, which would cut a ramdisk off from its ``/lib``; so the ramdisk's links are followed here.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lava_vmgroup.base import tars
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.sparse import copy_sparse, write_sparse
from lava_vmgroup.deploy.cpio import LARGEST, CpioEntry, Tree, Writer, tree_of
from lava_vmgroup.deploy.layers import damage_reported, decompressed
from lava_vmgroup.deploy.unpack import is_inside, limited

MAX_OVERLAYS = 1 << 30
"""Limit of bytes of all overlays of a ramdisk, which must fit into a board's memory."""

_CHUNK = 1 << 20
_UBOOT = b"\x27\x05\x19\x56"
_KINDS = {
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A tar archive, compressed or not, and its name in the job."""

    path: Path
    name: str


def with_overlays(
    ramdisk: Path, overlays: Sequence[Overlay], target: Path, deadline: Deadline
) -> None:
    """Write `ramdisk`, with the content of `overlays` appended, to `target`.

    A file in a later archive replaces one of the same name in an earlier archive, or in the
    ramdisk.  Raises `JobError` if an archive is damaged, or the ramdisk has a U-Boot header.
    """
    with ramdisk.open("rb") as stream:
        if stream.read(len(_UBOOT)) == _UBOOT:
            raise JobError(
                f"overlays cannot be added to {ramdisk.name}: it has a U-Boot header",
                hint="give the ramdisk without it (dumpimage takes it out)",
            )
    tree = tree_of(ramdisk, deadline)
    copy_sparse(ramdisk, target, deadline.check)
    with target.open("r+b") as file:
        file.seek(0, 2)
        file.write(bytes(-file.tell() % 4))
        writer = Writer(file, MAX_OVERLAYS)
        for overlay in overlays:
            with damage_reported(overlay.name), _opened(overlay, deadline) as archive:
                _append(archive, overlay.name, tree, writer, deadline)
        writer.finish()


@contextmanager
def _opened(overlay: Overlay, deadline: Deadline) -> Iterator[tarfile.TarFile]:
    """Yield the archive without its compression, so that members can be looked up."""
    with (
        tempfile.TemporaryDirectory() as folder,
        overlay.path.open("rb", buffering=0) as file,
        decompressed(file, deadline) as stream,
    ):
        plain = Path(folder) / "overlay.tar"
        write_sparse(limited(stream, overlay.name, MAX_OVERLAYS), plain, deadline.check)
        with plain.open("rb") as content, tars.opened(content) as archive:
            yield archive


def _append(
    archive: tarfile.TarFile, name: str, tree: Tree, writer: Writer, deadline: Deadline
) -> None:
    """Add the members of an archive, and the missing folders above them."""
    files: dict[str, tarfile.TarInfo] = {}
    for member in tars.members(archive):
        deadline.check()
        if not is_inside(member.name):
            raise JobError(f"{name} has a member outside its own folder: {member.name!r}")
        path = PurePosixPath(member.name)
        if str(path) == ".":
            continue
        parent = tree.real(str(path.parent)) if path.parent.name else ""
        real = posixpath.join(parent, path.name)
        if member.isdir():
            real = tree.real(real)
        for folder in reversed(PurePosixPath(real).parents):
            if folder.name and str(folder) not in tree.folders:
                writer.add(CpioEntry(name=str(folder), mode=stat.S_IFDIR | 0o755))
                tree.folders.add(str(folder))
        if member.isdir():
            tree.folders.add(real)
        elif member.issym():
            tree.links[real] = member.linkname
        _append_member(archive, member, _source(member, name, files), real, writer)


def _source(
    member: tarfile.TarInfo, name: str, files: dict[str, tarfile.TarInfo]
) -> tarfile.TarInfo:
    """Return the member that has the content of a hard link, or `member`; add files to `files`."""
    if member.islnk():
        source = files.get(posixpath.normpath(member.linkname))
        if source is None:
            raise JobError(f"{name} has a link to nothing: {member.name!r}")
    elif member.isreg() or member.type in _KINDS:
        source = member
    else:
        raise JobError(f"{name} has a member of a kind that no ramdisk takes: {member.name!r}")
    if source.isreg():
        files[posixpath.normpath(member.name)] = source
    return source


def _append_member(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    source: tarfile.TarInfo,
    path: str,
    writer: Writer,
) -> None:
    """Add `member` as `path`, with the content of `source`."""
    kind = _KINDS.get(member.type, stat.S_IFREG)
    size = 0
    content: Iterable[bytes] = ()
    if kind == stat.S_IFREG:
        size = source.size
        content = _chunks(archive, source)
    elif kind == stat.S_IFLNK:
        content = [os.fsencode(member.linkname)]
        size = len(content[0])
    entry = CpioEntry(
        name=path,
        mode=kind | stat.S_IMODE(member.mode),
        size=size,
        uid=_clamped(member.uid),
        gid=_clamped(member.gid),
        mtime=_clamped(member.mtime),
        major=_clamped(member.devmajor),
        minor=_clamped(member.devminor),
    )
    writer.add(entry, content)


def _clamped(number: float) -> int:
    """Return the nearest number that an archive can hold."""
    return int(min(max(number, 0), LARGEST))


def _chunks(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    source = archive.extractfile(member)
    assert source is not None, "a regular file has content"
    while chunk := source.read(_CHUNK):
        yield chunk
