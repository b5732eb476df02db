# SPDX-License-Identifier: MIT
"""File systems inside disk images, read and changed without root and without a mount.

The image belongs to the job's author, and nothing in it is trusted: names are checked before they
become words of a command.
"""

from __future__ import annotations

import abc
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from subprocess import CompletedProcess
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.connections.process import MAX_OUTPUT, TooMuchOutput
from lava_vmgroup.connections.program import run_tool

SAFE_PATH = re.compile(r"/[A-Za-z0-9._+~@,:=/-]*")
"""The pattern of a path that is written or deleted in an image."""

_READABLE = re.compile(r"/(?:[A-Za-z0-9._+~@,:=/ -]*[A-Za-z0-9._+~@,:=/-])?")
"""The pattern of a path that is read: a boot loader's configuration may name one with blanks."""

MAX_FILE = 256 << 20
"""Limit of bytes of a file that is read out of an image, such as a kernel.  A file full of holes
may have thousands of times as many as its image."""

_SECTOR = 512
_EXT_MAGIC = (0x438, b"\x53\xef")
_FAT_MAGICS = ((0x36, b"FAT"), (0x52, b"FAT32"))
_EXT_NAME_AT = 5  # in a line of debugfs's list, between slashes
_MAX_LINKS = 8
_REGULAR = 0o100000

# The same changes must make the same image: a host may have it from an earlier job.
_FIXED_TIME = {"E2FSPROGS_FAKE_TIME": "1000000000", "SOURCE_DATE_EPOCH": "1000000000"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition of a disk image; number 0 is the whole of an image without partitions."""

    number: int = 0
    offset: int = 0
    """In bytes."""
    size: int | None = None
    """In bytes; None is up to the end."""
    uuid: str = ""
    label: str = ""


def partitions(image: Path, deadline: Deadline) -> dict[int, int]:
    """Return the offset in bytes of each partition by its number; {0: 0} if there are none."""
    return {partition.number: partition.offset for partition in partition_table(image, deadline)}


def partition_table(image: Path, deadline: Deadline) -> list[Partition]:
    """Return the partitions of an image; the whole image if there are none.

    Raises `JobError` if the table cannot be read.
    """
    whole = [Partition()]
    result = run_tool(["sfdisk", "--json", str(image)], deadline)
    if result.returncode != 0:
        return whole
    try:
        table = json.loads(result.stdout)["partitiontable"]
        # The boot sector of a FAT file system has the signature of a partition table.
        return [_partition(described, table) for described in table.get("partitions", [])] or whole
    except (ValueError, KeyError) as error:
        raise JobError(f"the partition table of {image.name} cannot be read: {error}") from error


def _partition(described: Mapping[str, Any], table: Mapping[str, Any]) -> Partition:
    number = int(re.split(r"\D", described["node"])[-1])
    uuid = described.get("uuid", "")
    if not uuid and "id" in table:  # the PARTUUID that the kernel makes for such a table
        uuid = f"{int(table['id'], 16):08x}-{number:02x}"
    return Partition(
        number=number,
        offset=described["start"] * _SECTOR,
        size=described["size"] * _SECTOR,
        uuid=uuid,
        label=described.get("name", ""),
    )


def probe(image: Path, partition: Partition, deadline: Deadline) -> dict[str, str]:
    """Return blkid's facts of a partition's content: ``TYPE``, ``UUID``, ``LABEL`` and others."""
    argv = ["blkid", "-p", "-o", "export", "-O", str(partition.offset)]
    if partition.size is not None:
        argv += ["-S", str(partition.size)]
    result = run_tool([*argv, str(image)], deadline)
    lines = result.stdout.decode(errors="replace").splitlines()
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def file_system(image: Path, offset: int, deadline: Deadline) -> FileSystem | None:
    """Return the file system at an offset of an image, in bytes; None for an unsupported one."""
    with image.open("rb") as stream:
        stream.seek(offset)
        head = stream.read(0x440)

    def shows(position: int, magic: bytes) -> bool:
        return head[position : position + len(magic)] == magic

    if shows(*_EXT_MAGIC):
        return _Ext(image, offset, deadline)
    if any(shows(*magic) for magic in _FAT_MAGICS):
        return _Fat(image, offset, deadline)
    return None


class FileSystem(abc.ABC):
    """A file system inside an image; paths begin at its root."""

    def __init__(self, image: Path, offset: int, deadline: Deadline) -> None:
        self._image = image
        self._offset = offset
        self._deadline = deadline

    @abc.abstractmethod
    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file, links followed; None if there is none.

        Raises `JobError` if it has more than `MAX_FILE` bytes.
        """

    @abc.abstractmethod
    def mode(self, path: str) -> int | None:
        """Return the permissions of a regular file; None if there is no file, or it has none."""

    @abc.abstractmethod
    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder, or a link to one, of this name."""

    @abc.abstractmethod
    def exists(self, path: str) -> bool:
        """Return whether there is a file, a folder or a link of this name."""

    @abc.abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, without those that are unsafe; [] if there is no folder."""

    @abc.abstractmethod
    def put(self, content: bytes, path: str, mode: int) -> None:
        """Write a file, and replace a file or a link of its name; make its folder if needed."""

    @abc.abstractmethod
    def delete(self, path: str) -> None:
        """Remove a file or a link; raises `JobError` when there is none."""

    def _make_folders(self, folder: str) -> None:
        parents = [path for path in PurePosixPath(folder).parents if str(path) != "/"]
        for path in [*reversed(parents), PurePosixPath(folder)]:
            if not self.is_folder(str(path)):
                self._make_folder(str(path))

    @abc.abstractmethod
    def _make_folder(self, path: str) -> None:
        """Make one folder, whose parent exists."""

    def _content(
        self, path: str, tool: Callable[..., CompletedProcess[bytes]], *words: str
    ) -> bytes | None:
        """Return the content of a file, which a tool prints; None if the tool fails.

        Raises `JobError` if it has more than `MAX_FILE` bytes.
        """
        try:
            printed = tool(*words, limit=MAX_FILE)
        except TooMuchOutput as error:
            raise JobError(
                f"{path} in {self._image.name} has more than {MAX_FILE >> 20} MiB"
            ) from error
        return printed.stdout if printed.returncode == 0 else None

    def _failed(self, doing: str, words: bytes) -> JobError:
        text = words.decode(errors="replace").strip().splitlines() or ["no reason given"]
        return JobError(f"{doing} in {self._image.name} failed: {text[-1]}")


class _Ext(FileSystem):
    """ext2, ext3 and ext4, by debugfs."""

    def read(self, path: str) -> bytes | None:
        real = self._resolve(path)
        return None if real is None else self._content(path, self._tool, f'cat "{real}"')

    def mode(self, path: str) -> int | None:
        status = self._status(path)
        found = re.search(r"Mode:\s+(\d+)", status)
        return int(found[1], 8) & 0o7777 if found and "Type: regular" in status else None

    def is_folder(self, path: str) -> bool:
        return "Type: directory" in self._status(f"{path}/.")

    def exists(self, path: str) -> bool:
        return bool(self._status(path))

    def names(self, folder: str) -> list[str]:
        lines = self._ask(f'ls -p "{folder}/."').decode(errors="replace").splitlines()
        listed = [words for line in lines if len(words := line.split("/")) > _EXT_NAME_AT]
        found = [words[_EXT_NAME_AT] for words in listed]
        return [name for name in found if name.strip(".") and _READABLE.fullmatch(f"/{name}")]

    def put(self, content: bytes, path: str, mode: int) -> None:
        folder, _, name = path.rpartition("/")
        self._make_folders(folder or "/")
        requests = [f'rm "{path}"'] if self._status(path) else []
        requests += [f'cd "{folder}/."', f'write content "{name}"']
        values = {"mode": f"{_REGULAR | mode:#o}".replace("0o", "0"), "uid": "0", "gid": "0"}
        requests += [f'sif "{name}" {field} {value}' for field, value in values.items()]
        self._change(f"writing {path}", requests, content)

    def delete(self, path: str) -> None:
        self._change(f"deleting {path}", [f'rm "{path}"'])

    def _make_folder(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        self._change(f"making {path}", [f'mkdir "{folder}/./{name}"'])

    def _resolve(self, path: str) -> str | None:
        """Return the regular file behind links; None if there is none, or its name is unsafe."""
        for _ in range(_MAX_LINKS):
            if not _READABLE.fullmatch(path):
                return None
            status = self._status(path)
            if "Type: symlink" not in status:
                return path if "Type: regular" in status else None
            path = str(PurePosixPath(path).parent / self._link(path, status))
        return None

    def _link(self, path: str, status: str) -> str:
        """Return the target of a link; one of 60 bytes or more is stored as a file's content."""
        fast = re.search(r'Fast link dest: "([^"]*)"', status)
        return fast[1] if fast else self._ask(f'cat "{path}"').decode(errors="replace")

    def _status(self, path: str) -> str:
        """Return the status of a path that debugfs prints; empty if there is no such file."""
        return self._ask(f'stat "{path}"').decode(errors="replace")

    @property
    def _target(self) -> str:
        return f"{self._image.absolute()}?offset={self._offset}"

    def _ask(self, request: str) -> bytes:
        return self._tool(request).stdout

    def _tool(self, request: str, limit: int = MAX_OUTPUT) -> CompletedProcess[bytes]:
        return run_tool(["debugfs", "-R", request, self._target], self._deadline, limit=limit)

    def _change(self, doing: str, requests: Sequence[str], content: bytes = b"") -> None:
        if b"needs_recovery" in self._ask("features"):
            raise JobError(
                f"a file system in {self._image.name} was not unmounted, and cannot be changed",
                hint="have e2fsck repair it, or take the image of a system that was shut down",
            )
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "content").write_bytes(content)
            (Path(folder) / "requests").write_text("".join(f"{line}\n" for line in requests))
            command = ["debugfs", "-w", "-f", "requests", self._target]
            result = run_tool(command, self._deadline, environment=_FIXED_TIME, folder=Path(folder))
        # debugfs prints its version first, and reports failures in words only, not by its status.
        words = result.stderr.splitlines()[1:]
        if words or result.returncode != 0:
            raise self._failed(doing, b"\n".join(words))


class _Fat(FileSystem):
    """FAT, by mtools."""

    def read(self, path: str) -> bytes | None:
        if not _READABLE.fullmatch(path):
            return None
        return self._content(path, self._tool, "mtype", f"::{path}")

    def mode(self, path: str) -> int | None:  # noqa: ARG002 (FAT has no permissions)
        return None

    def is_folder(self, path: str) -> bool:
        result = self._tool("mdir", "-b", f"::{path}")
        return result.returncode == 0 and not self._is_file(path)

    def exists(self, path: str) -> bool:
        return self._tool("mdir", "-b", f"::{path}").returncode == 0

    def names(self, folder: str) -> list[str]:
        listing = self._tool("mdir", "-b", f"::{folder}").stdout.decode(errors="replace")
        found = [line.rstrip("/").rpartition("/")[2] for line in listing.splitlines()]
        return [name for name in found if _READABLE.fullmatch(f"/{name}")]

    def put(self, content: bytes, path: str, mode: int) -> None:  # noqa: ARG002
        self._make_folders(str(PurePosixPath(path).parent))
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._change(f"writing {path}", "mcopy", "-o", file.name, f"::{path}")

    def delete(self, path: str) -> None:
        self._change(f"deleting {path}", "mdel", f"::{path}")

    def _make_folder(self, path: str) -> None:
        self._change(f"making {path}", "mmd", f"::{path}")

    def _is_file(self, path: str) -> bool:
        listing = self._tool("mdir", "-b", f"::{path}").stdout.decode(errors="replace")
        return listing.strip().lower() == f"::{path}".lower()

    def _change(self, doing: str, tool: str, *words: str) -> None:
        result = self._tool(tool, *words)
        if result.returncode != 0:
            raise self._failed(doing, result.stderr)

    def _tool(self, tool: str, *words: str, limit: int = MAX_OUTPUT) -> CompletedProcess[bytes]:
        argv = [tool, "-i", f"{self._image}@@{self._offset}", *words]
        environment = {"MTOOLS_SKIP_CHECK": "1", **_FIXED_TIME}
        return run_tool(argv, self._deadline, environment=environment, limit=limit)
