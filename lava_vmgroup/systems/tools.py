# SPDX-License-Identifier: MIT
"""The programs on the dispatcher that a node's actions need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.findings import Finding, Severity, failure
from lava_vmgroup.config.settings import DEPLOY_PARAMETERS
from lava_vmgroup.connections.program import find_tool
from lava_vmgroup.job.expansion import IMAGE_COMMANDS
from lava_vmgroup.job.model import Action, NodeJob
from lava_vmgroup.job.reference import FileReference
from lava_vmgroup.testdefs.source import SourceKind, parse_source

_IMAGES = frozenset({"deploy_linaro_image", "deploy_image"})
_BY_SUFFIX = {
    ".gz": "gzip",
    ".tgz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".txz": "xz",
    ".lzma": "xz",
    ".zst": "zstd",
    ".lz4": "lz4",
    ".qcow2": "qemu-img",
    ".simg": "simg2img",
}
_REPOSITORIES = {SourceKind.GIT: ("git",), SourceKind.BZR: ("bzr", "brz")}
_FAT_ONLY = ("mdir",)
"""Programs that only images with a FAT file system need."""


def look(job: NodeJob) -> list[Finding]:
    """Return a finding for each program that the node's actions need."""
    wanted = dict.fromkeys(names for action in job.actions for names in _tools(action, job))
    return [_finding(names) for names in wanted]


def references(action: Action) -> Iterator[FileReference]:
    """Yield the files that a deploy action names."""
    if action.command not in IMAGE_COMMANDS:
        return
    for name, value in action.parameters.items():
        if name not in (*DEPLOY_PARAMETERS, "customize"):
            for one in value if isinstance(value, list) else [value]:
                yield FileReference.of(one)


def _tools(action: Action, job: NodeJob) -> Iterator[tuple[str, ...]]:
    """Yield the names of each program that an action needs; one of them is enough."""
    parameters = action.parameters
    is_image = action.command in _IMAGES
    is_looked_into = is_image or "rootfs" in parameters
    if is_looked_into and (not job.is_host or "customize" in parameters):
        yield from (("sfdisk",), ("blkid",), ("debugfs",), _FAT_ONLY)
    if not job.is_host and is_looked_into:
        yield ("qemu-img",)
    for reference in references(action):
        if urlsplit(reference.url).scheme == "scp":
            yield ("ssh",)
        if (tool := _BY_SUFFIX.get(PurePosixPath(reference.name).suffix)) is not None:
            yield (tool,)
    for entry in parameters.get("testdef_repos", ()):
        if (names := _REPOSITORIES.get(parse_source(entry).kind)) is not None:
            yield names


def _finding(names: tuple[str, ...]) -> Finding:
    what = names[0]
    try:
        return Finding(what=what, found=find_tool(*names))
    except InfrastructureError as error:
        if names != _FAT_ONLY:
            return failure(what, error)
        return Finding(
            what=what,
            severity=Severity.DEGRADED,
            found=f"{error.message}: images with a FAT file system cannot be read",
            remedy=error.hint,
        )
