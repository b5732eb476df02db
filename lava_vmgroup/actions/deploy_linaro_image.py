# SPDX-License-Identifier: MIT
"""``deploy_linaro_image``: a complete disk image for a host or a virtual machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.config.inventory import load_vm_type
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy import customize
from lava_vmgroup.deploy.fetch import reference_problems
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.model import Action, Job
from lava_vmgroup.job.reference import FILE_SCHEMA, FileReference
from lava_vmgroup.nodes.node import Node

ALIASES = ("deploy_image",)

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": FILE_SCHEMA,
        "customize": customize.SCHEMA,
        "boot_part": {"type": "integer", "minimum": 1},
        "root_part": {"type": "integer", "minimum": 1},
    },
}


def check(action: Action, job: Job) -> Iterator[str]:
    """Whether the image, and what goes into it, is there."""
    image = FileReference.of(action.parameters["image"])
    for problem in reference_problems(image, job.folder):
        yield f"image: {problem}"
    for problem in customize.problems(action.parameters.get("customize", {}), job.folder):
        yield f"customize: {problem}"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Fetch the image and put it where the node's next boot finds it."""
    reference = FileReference.of(action.parameters["image"])
    image = node.shared.files.fetch(reference, deadline, node.log, Unpack.DISK)
    if changes := customize.changes_of(action.parameters.get("customize", {})):
        image = customize.customized(
            image, changes, _partitions(action, node), node.shared.files, deadline, node.log
        )
    node.deploy_image(image, deadline)


def _partitions(action: Action, node: Node) -> customize.Partitions:
    """The partitions' numbers as the action says, else as the node's configuration does."""
    shared = node.shared
    config = (
        shared.device
        if node.job.is_host
        else load_vm_type(node.job.device_type, shared.search_path)
    )
    return customize.Partitions(
        boot=action.parameters.get("boot_part", config.boot_part),
        rootfs=action.parameters.get("root_part", config.root_part),
    )
