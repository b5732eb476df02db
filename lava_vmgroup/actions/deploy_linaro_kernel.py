# SPDX-License-Identifier: MIT
"""``deploy_linaro_kernel``: kernel, ramdisk, device tree and root file system, each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import reference_problems
from lava_vmgroup.deploy.overlays import Overlay, with_overlays
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
    "properties": {
        **dict.fromkeys(_FILES, FILE_SCHEMA),
        "overlays": {"type": "array", "minItems": 1, "items": FILE_SCHEMA},
    },
}


def check(action: Action, job: Job) -> Iterator[str]:
    """Whether the files are there."""
    for name, reference in _references(action):
        for problem in reference_problems(reference, job.folder):
            yield f"{name}: {problem}"
    for index, overlay in enumerate(action.parameters.get("overlays", ())):
        for problem in reference_problems(FileReference.of(overlay), job.folder):
            yield f"overlays[{index}]: {problem}"
    if action.role == job.host.role and "rootfs" in action.parameters:
        yield "rootfs: only virtual machines take a disk image beside their kernel"
    if "overlays" in action.parameters and "ramdisk" not in action.parameters:
        yield "overlays: they are put into the ramdisk, and there is none; give a ramdisk"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Fetch the files and put them where the node's next boot finds them."""
    files = {
        name: node.shared.files.fetch(reference, deadline, node.log, _FILES[name])
        for name, reference in _references(action)
    }
    if overlays := _overlays(action, node, deadline):
        ramdisk = files["ramdisk"]
        files["ramdisk"] = node.shared.files.derive(
            (ramdisk.resolve(), *overlays),
            ramdisk.name,
            lambda target: with_overlays(ramdisk, overlays, target, deadline),
            deadline,
        )
    node.deploy_kernel(KernelFiles(**files), deadline)


def _overlays(action: Action, node: Node, deadline: Deadline) -> list[Overlay]:
    references = map(FileReference.of, action.parameters.get("overlays", ()))
    return [
        Overlay(path=node.shared.files.fetch(reference, deadline, node.log), name=reference.name)
        for reference in references
    ]


def _references(action: Action) -> Iterator[tuple[str, FileReference]]:
    for name in _FILES:
        if name in action.parameters:
            yield name, FileReference.of(action.parameters[name])
