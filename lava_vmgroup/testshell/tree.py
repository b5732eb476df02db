# SPDX-License-Identifier: MIT
"""The content of a repository or an archive, held in memory on its way to a node.

Nothing is unpacked on the dispatcher, and no link is followed.  Folders are implied by what is
in them.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lava_vmgroup.errors import JobError

MAX_BYTES = 256 << 20
"""How much one test may bring along."""

_MAX_ENTRIES = 100_000
_VERSION_CONTROL = frozenset({".git", ".bzr"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """A file, or a link to something else in the same tree."""

    path: str
    """Relative to the tree, without ``.`` and ``..``."""
    content: bytes = b""
    executable: bool = False
    link: str | None = None
    """Where a symbolic link leads to; None for a file."""


Tree = tuple[TreeEntry, ...]


def moved(tree: Tree, folder: str) -> Tree:
    """The same tree in a folder of another one."""
    return tuple(replace(entry, path=posixpath.join(folder, entry.path)) for entry in tree)


def read_folder(root: Path) -> tuple[Tree, list[str]]:
    """What is in a folder, without version control's own folders.

    Also returns what was left out: links that lead outside, devices, sockets.  Raises JobError
    when there is more than a test may bring along.
    """
    left_out: list[str] = []
    return _limited(_walk(root, left_out), str(root)), left_out


def read_tar(text: str) -> Tree:
    """What is in a tar archive (plain or compressed) that is given as base64 text.

    Raises JobError for an archive that cannot be read, or that holds anything but files, folders
    and links that stay inside of it.
    """
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise JobError(f"the tar archive is not base64 text: {error}") from error
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return _limited(_tar_entries(tar), "the tar archive")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        reason, *_ = str(error).splitlines() or ["it is damaged"]
        raise JobError(f"the tar archive cannot be read: {reason.rstrip(':')}") from error


def file_in(tree: Tree, path: str) -> bytes:
    """The content of a file of the tree; raises JobError when there is none."""
    wanted = posixpath.normpath(path)
    for entry in tree:
        if entry.path == wanted and entry.link is None:
            return entry.content
    raise JobError(f"there is no file {path}")


def _limited(entries: Iterable[TreeEntry], what: str) -> Tree:
    kept: dict[str, TreeEntry] = {}
    size = 0
    for entry in entries:
        size += len(entry.content)
        kept[entry.path] = entry
        if size > MAX_BYTES or len(kept) > _MAX_ENTRIES:
            raise JobError(
                f"{what} holds more than {MAX_BYTES >> 20} MiB or {_MAX_ENTRIES} files",
                hint="have the test download what is large",
            )
    return tuple(kept.values())


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
    return TreeEntry(path=name, content=path.read_bytes(), executable=bool(mode & stat.S_IXUSR))


def _tar_entries(tar: tarfile.TarFile) -> Iterator[TreeEntry]:
    links: set[str] = set()
    for member in tar:
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
            yield TreeEntry(
                path=path,
                content=_content(tar, member),
                executable=bool(member.mode & stat.S_IXUSR),
            )
        elif not member.isdir() or path in links:
            raise JobError(f"the tar archive has {path!r}, which is no file, folder or link")


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    try:
        file = tar.extractfile(member)  # follows a hard link within the archive
    except KeyError as error:
        raise JobError(f"the tar archive has a hard link {member.name!r} to nothing") from error
    # A member may claim any size, and a compressed archive may hold far more than it weighs.
    limit = MAX_BYTES + 1 if member.islnk() else min(member.size, MAX_BYTES + 1)
    content = file.read(limit) if file is not None else b""
    if len(content) < member.size and not member.islnk():
        raise JobError(f"the tar archive ends in the middle of {member.name!r}")
    return content
