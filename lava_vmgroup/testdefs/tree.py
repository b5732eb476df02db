# SPDX-License-Identifier: MIT
"""The content of a repository or an archive, held in memory on its way to a node.

The dispatcher unpacks nothing and follows no link.  A folder needs no entry: the paths of its files
name it.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import io
import lzma
import os
import posixpath
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from lava_vmgroup.base import tars
from lava_vmgroup.base.errors import JobError

MAX_BYTES = 256 << 20
"""Bytes of the files of one repository or archive."""

_MAX_ENTRIES = 100_000
_MAX_LINKS = 40
_HEADERS = 1024
"""Bytes of an archive for each file beside its content."""

_COMPRESSIONS: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ", lzma.LZMAFile),
)
_VERSION_CONTROL = frozenset({".git", ".bzr"})

_MTIME_S = 1
"""Time of all files: GNU tar warns of time 0 and of future times, and a board without a clock
starts at 0."""

_DIRECTORY_MODE = 0o755
_PROGRAM_MODE = 0o755
_FILE_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """A file, or a link to something else in the same tree."""

    path: str
    """Relative to the tree, without ``.`` and ``..``."""
    content: bytes = b""
    executable: bool = False
    link: str | None = None
    """Target of a symbolic link; None for a file."""


@dataclass(frozen=True, slots=True)
class Folder(TreeEntry):
    """A folder, which may be empty."""


Tree = tuple[TreeEntry, ...]


def size_of(tree: Tree) -> int:
    """Return the number of bytes of a tree's files."""
    return sum(len(entry.content) for entry in tree)


def moved(tree: Tree, folder: str) -> Tree:
    """Return the same tree with all paths below `folder`."""
    return tuple(
        replace(entry, path=posixpath.normpath(posixpath.join(folder, entry.path)))
        for entry in tree
    )


def pack(entries: Iterable[TreeEntry], file: IO[bytes]) -> None:
    """Write an uncompressed tar archive to `file`.

    The same entries give the same bytes.  All members belong to root.
    """
    # Every tar, busybox's included, reads ustar without extensions.
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in entries:
            member = tarfile.TarInfo(entry.path)
            member.mtime = _MTIME_S
            member.uname = member.gname = "root"
            member.mode = _PROGRAM_MODE if entry.executable else _FILE_MODE
            if isinstance(entry, Folder):
                member.type, member.mode = tarfile.DIRTYPE, _DIRECTORY_MODE
            elif entry.link is not None:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
            member.size = len(entry.content)
            try:
                member.tobuf(tarfile.USTAR_FORMAT)
                tar.format = tarfile.USTAR_FORMAT
            except ValueError:
                tar.format = tarfile.GNU_FORMAT  # ustar has no room for a long name
            tar.addfile(member, io.BytesIO(entry.content))


def read_folder(root: Path) -> tuple[Tree, list[str]]:
    """Return the content of a folder, and the paths that were left out.

    Left out are links that lead outside, devices and sockets.  The folders of version control are
    skipped.  Raises `JobError` if there is more than `MAX_BYTES`, or too many files.
    """
    left_out: list[str] = []
    return _limited(_walk(root, left_out), str(root)), left_out


def read_tar(text: str) -> Tree:
    """Return the content of a tar archive, plain or compressed, from its base64 text.

    Raises `JobError` if the archive cannot be read, is too large, or holds anything but files,
    folders and links that stay inside of it.
    """
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise JobError(f"the tar archive is not base64 text: {error}") from error
    try:
        with tars.opened(io.BytesIO(_uncompressed(data))) as tar:
            return _limited(_tar_entries(tar), "the tar archive")
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        reason, *_ = str(error).splitlines() or ["it is damaged"]
        raise JobError(f"the tar archive cannot be read: {reason.rstrip(':')}") from error


def _uncompressed(data: bytes) -> bytes:
    """Return the content of an archive that may be compressed.

    Raises `JobError` if it is too large: a few compressed bytes may hold any number of them.
    """
    stream: IO[bytes] = io.BytesIO(data)
    for magic, opened in _COMPRESSIONS:
        if data.startswith(magic):
            stream = opened(stream)
    limit = MAX_BYTES + _MAX_ENTRIES * _HEADERS
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise _too_much("the tar archive")
    return content


def file_in(tree: Tree, path: str) -> bytes:
    """Return the content of a file of the tree, to which a link in the tree may lead.

    Raises `JobError` if there is no such file.
    """
    entries = {entry.path: entry for entry in tree if not isinstance(entry, Folder)}
    wanted = posixpath.normpath(path)
    for _ in range(_MAX_LINKS):
        if (entry := entries.get(wanted)) is not None and entry.link is None:
            return entry.content
        followed = _followed(entries, wanted)
        if followed is None:
            break
        wanted = followed
    raise JobError(f"there is no file {path}")


def _followed(entries: Mapping[str, TreeEntry], path: str) -> str | None:
    """Return the path with the first link in it replaced by where it leads; None without a link."""
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        entry = entries.get("/".join(parts[:count]))
        if entry is not None and entry.link is not None:
            return posixpath.normpath(
                posixpath.join(*parts[: count - 1], entry.link, *parts[count:])
            )
    return None


def _limited(entries: Iterable[TreeEntry], what: str) -> Tree:
    kept: dict[str, TreeEntry] = {}
    size = 0
    for entry in entries:
        size += len(entry.content)
        kept[entry.path] = entry
        if size > MAX_BYTES or len(kept) > _MAX_ENTRIES:
            raise _too_much(what)
    return tuple(kept.values())


def _too_much(what: str) -> JobError:
    return JobError(
        f"{what} holds more than {MAX_BYTES >> 20} MiB or {_MAX_ENTRIES} files",
        hint="have the test download what is large",
    )


def _leads_outside(path: str, link: str) -> bool:
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    return posixpath.isabs(target) or target.split("/")[0] == ".."


def _walk(root: Path, left_out: list[str]) -> Iterator[TreeEntry]:
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = sorted({*folders} - {*links} - _VERSION_CONTROL)
        for name in sorted([*files, *links]):
            path = Path(folder) / name
            entry = _entry(path, path.relative_to(root).as_posix())
            if entry is None:
                left_out.append(path.relative_to(root).as_posix())
            elif name not in _VERSION_CONTROL:
                yield entry


def _entry(path: Path, name: str) -> TreeEntry | None:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        link = str(path.readlink())
        return None if _leads_outside(name, link) else TreeEntry(path=name, link=link)
    if not stat.S_ISREG(mode):
        return None
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    return TreeEntry(path=name, content=content, executable=bool(mode & stat.S_IXUSR))


def _tar_entries(tar: tarfile.TarFile) -> Iterator[TreeEntry]:
    links: set[str] = set()
    files: dict[str, bytes] = {}
    for member in tars.members(tar):
        path = posixpath.normpath(member.name)
        if _leads_outside("", path) or any(parent in links for parent in _parents(path)):
            raise JobError(f"the tar archive has {member.name!r}, which is outside of it")
        if member.issym():
            if _leads_outside(path, member.linkname):
                raise JobError(
                    f"the tar archive has a link {path!r} to {member.linkname!r}, outside of it"
                )
            links.add(path)
            yield TreeEntry(path=path, link=member.linkname)
        elif member.isreg() or member.islnk():
            files[path] = content = _content(tar, member, files)
            yield TreeEntry(path=path, content=content, executable=bool(member.mode & stat.S_IXUSR))
        elif not member.isdir() or path in links:
            raise JobError(f"the tar archive has {path!r}, which is no file, folder or link")


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, files: Mapping[str, bytes]) -> bytes:
    if member.islnk():
        try:
            return files[posixpath.normpath(member.linkname)]
        except KeyError as error:
            raise JobError(f"the tar archive has a hard link {member.name!r} to nothing") from error
    # The header may claim any size.
    file = tar.extractfile(member)
    content = file.read(min(member.size, MAX_BYTES + 1)) if file is not None else b""
    if len(content) < member.size:
        raise JobError(f"the tar archive ends in the middle of {member.name!r}")
    return content
