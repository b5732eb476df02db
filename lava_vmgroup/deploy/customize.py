# SPDX-License-Identifier: MIT
"""Changes that a job makes to a copy of its image: files put into it, and files deleted there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.sparse import copy_sparse
from lava_vmgroup.deploy.fetch import JobFiles, reference_problems
from lava_vmgroup.deploy.filesystems import (
    MAX_FILE,
    SAFE_PATH,
    FileSystem,
    file_system,
    partitions,
)
from lava_vmgroup.job.reference import FileReference

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "minLength": 1},
    },
}
"""The JSON schema of ``customize``: sources, each with a list of destinations."""

DELETE = "delete"
"""The source that stands for the removal of its destinations."""
_IN_IMAGE = re.compile(r"(boot|rootfs):(/.*)", re.DOTALL)
_READABLE, _EXECUTABLE = 0o644, 0o755


@dataclass(frozen=True, slots=True)
class ImagePath:
    """A path in one of the image's partitions, ``boot`` or ``rootfs``."""

    partition: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of ``customize``."""

    source: FileReference | ImagePath
    targets: tuple[ImagePath, ...]
    delete: bool
    """True if the source, a path in the image, is deleted after the copying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitions:
    """The numbers of the partitions that ``boot:`` and ``rootfs:`` name."""

    boot: int
    rootfs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Customization:
    """The changes to make in an image, in their order, and where its file systems are."""

    changes: tuple[Change, ...]
    numbers: Partitions


def problems(customize: Mapping[str, Sequence[str]], folder: Path) -> Iterator[str]:
    """Yield the problems of a ``customize`` that can be found before the job runs.

    `folder` is that of the job.
    """
    for source, targets in customize.items():
        inside = _image_path(source)
        if inside is not None:
            yield from _path_problems(source, inside)
        else:
            for problem in reference_problems(FileReference(url=source), folder):
                yield f"{source!r}: {problem}"
        for target in targets:
            yield from _target_problems(source, target)


def _target_problems(source: str, target: str) -> Iterator[str]:
    path = _image_path(target)
    if target == DELETE:
        if _image_path(source) is None:
            yield f"{source!r}: only a boot:/ or rootfs:/ path of the image can be deleted"
    elif path is None:
        yield f"{source!r}: expected boot:/PATH, rootfs:/PATH or delete, got {target!r}"
    else:
        yield from _path_problems(target, path)


def _path_problems(text: str, path: ImagePath) -> Iterator[str]:
    if not SAFE_PATH.fullmatch(path.path):
        yield f"{text!r}: a path may have letters, digits and ._+~@,:=/- only"
    elif ".." in path.path.split("/"):
        yield f"{text!r}: a path may not have .."


def changes_of(customize: Mapping[str, Sequence[str]]) -> tuple[Change, ...]:
    """Return the changes of a ``customize`` that has no problems, in its order."""
    return tuple(
        Change(
            source=_image_path(source) or FileReference(url=source),
            targets=tuple(path for path in map(_image_path, targets) if path is not None),
            delete=DELETE in targets,
        )
        for source, targets in customize.items()
    )


def customized(
    image: Path, wanted: Customization, files: JobFiles, deadline: Deadline, log: NodeLog
) -> Path:
    """Return a copy of `image` with the changes; nodes that want the same ones share it.

    Raises `JobError` if a change cannot be made.
    """

    def make(target: Path) -> None:
        log.event("state", f"customizing {image.name}", state="customizing the image")
        sources = [
            files.fetch(change.source, deadline, log)
            if isinstance(change.source, FileReference)
            else None
            for change in wanted.changes
        ]
        copy_sparse(image, target, deadline.check)
        opened = _Opened(target, wanted.numbers, deadline)
        for change, source in zip(wanted.changes, sources, strict=True):
            _apply(change, source, opened)

    return files.derive((image.resolve(), wanted), image.name, make, deadline)


class _Opened:
    """The image's two file systems, which are opened when they are first used."""

    def __init__(self, image: Path, numbers: Partitions, deadline: Deadline) -> None:
        self._image = image
        self._numbers = numbers
        self._deadline = deadline
        self._found: dict[str, FileSystem] = {}

    def __getitem__(self, partition: str) -> FileSystem:
        if partition not in self._found:
            self._found[partition] = self._find(partition)
        return self._found[partition]

    def _find(self, partition: str) -> FileSystem:
        number: int = getattr(self._numbers, partition)
        offsets = partitions(self._image, self._deadline)
        if len(offsets) == 1:  # the only one is meant
            ((number, offset),) = offsets.items()
        elif number in offsets:
            offset = offsets[number]
        else:
            known = ", ".join(map(str, offsets))
            raise JobError(
                f"{self._image.name} has no partition {number} for {partition}:, but {known}",
                hint="set boot_part and root_part",
            )
        found = file_system(self._image, offset, self._deadline)
        if found is None:
            raise JobError(
                f"partition {number} of {self._image.name} is neither ext2, ext3, ext4 nor FAT",
                hint="set boot_part and root_part, or customize the image beforehand",
            )
        return found


def _apply(change: Change, local: Path | None, opened: _Opened) -> None:
    source = change.source
    if change.targets:
        content, name, mode = _content(source, local, opened)
    for target in change.targets:
        files, path = opened[target.partition], target.path
        if path.endswith("/") or files.is_folder(path):
            path = _checked(f"{path.rstrip('/')}/{name}")
        existing = files.mode(path)
        files.put(content, path, mode if existing is None else existing)
    if change.delete and isinstance(source, ImagePath):
        opened[source.partition].delete(source.path)


def _content(
    source: FileReference | ImagePath, local: Path | None, opened: _Opened
) -> tuple[bytes, str, int]:
    """Return the content of a source, its name, and the permissions for a new file."""
    if isinstance(source, FileReference):
        assert local is not None, "what is not in the image was fetched"
        if local.stat().st_size > MAX_FILE:
            raise JobError(f"{source.shown} has more than {MAX_FILE >> 20} MiB")
        mode = _EXECUTABLE if local.stat().st_mode & 0o100 else _READABLE
        return local.read_bytes(), source.name, mode
    files = opened[source.partition]
    content = files.read(source.path)
    if content is None:
        raise JobError(f"the image has no file {source.partition}:{source.path}")
    return content, source.path.rpartition("/")[2], files.mode(source.path) or _READABLE


def _checked(path: str) -> str:
    """Return a path that ends with the name of a source; raise `JobError` for an unsafe name."""
    if not SAFE_PATH.fullmatch(path):
        raise JobError(
            f"{path!r} is no name for a file in an image", hint="name the file in the destination"
        )
    return path


def _image_path(text: str) -> ImagePath | None:
    found = _IN_IMAGE.fullmatch(text)
    return ImagePath(found[1], found[2]) if found else None
