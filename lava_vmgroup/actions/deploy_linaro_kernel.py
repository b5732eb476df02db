# SPDX-License-Identifier: MIT
"""``deploy_linaro_kernel``: kernel, ramdisk, device tree and root file system, each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import fetch, reference_problems
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.model import Action, Job
from lava_vmgroup.nodes.node import Node

ALIASES = ("deploy_kernel",)

_FILES = ("kernel", "ramdisk", "dtb", "rootfs")

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kernel"],
    "properties": {name: {"type": "string", "minLength": 1} for name in _FILES},
}


def check(action: Action, job: Job) -> Iterator[str]:
    """Whether the files are there."""
    for name, reference in action.parameters.items():
        for problem in reference_problems(reference, job.folder, disk=name == "rootfs"):
            yield f"{name}: {problem}"
    if action.role == job.host.role and "rootfs" in action.parameters:
        yield "rootfs: only virtual machines take a disk image beside their kernel"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Fetch the files and put them where the node's next boot finds them."""
    shared = node.shared
    folder = shared.group.job.folder
    files = {
        name: fetch(reference, folder, shared.work / node.name / name, deadline)
        for name, reference in action.parameters.items()
    }
    node.deploy_kernel(KernelFiles(**files), deadline)
