# SPDX-License-Identifier: MIT
"""``deploy_linaro_kernel``: kernel, ramdisk, device tree and root file system, each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import reference_problems
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.model import Action, Job
from lava_vmgroup.job.reference import FILE_SCHEMA, FileReference
from lava_vmgroup.nodes.node import Node

ALIASES = ("deploy_kernel",)

_FILES = {
    "kernel": Unpack.KERNEL,
    "ramdisk": Unpack.NEVER,
    "dtb": Unpack.KERNEL,
    "rootfs": Unpack.DISK,
}

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kernel"],
    "properties": dict.fromkeys(_FILES, FILE_SCHEMA),
}


def check(action: Action, job: Job) -> Iterator[str]:
    """Whether the files are there."""
    for name, reference in _references(action):
        for problem in reference_problems(reference, job.folder):
            yield f"{name}: {problem}"
    if action.role == job.host.role and "rootfs" in action.parameters:
        yield "rootfs: only virtual machines take a disk image beside their kernel"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Fetch the files and put them where the node's next boot finds them."""
    files = {
        name: node.shared.files.fetch(reference, deadline, node.log, _FILES[name])
        for name, reference in _references(action)
    }
    node.deploy_kernel(KernelFiles(**files), deadline)


def _references(action: Action) -> Iterator[tuple[str, FileReference]]:
    for name in _FILES:
        if name in action.parameters:
            yield name, FileReference.of(action.parameters[name])
