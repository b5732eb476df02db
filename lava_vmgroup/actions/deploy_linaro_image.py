# SPDX-License-Identifier: MIT
"""``deploy_linaro_image``: a complete disk image for a host or a virtual machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.deadline import Deadline
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
    "properties": {"image": FILE_SCHEMA},
}


def check(action: Action, job: Job) -> Iterator[str]:
    """Whether the image is there."""
    image = FileReference.of(action.parameters["image"])
    for problem in reference_problems(image, job.folder):
        yield f"image: {problem}"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Fetch the image and put it where the node's next boot finds it."""
    reference = FileReference.of(action.parameters["image"])
    image = node.shared.files.fetch(reference, deadline, node.log, Unpack.DISK)
    node.deploy_image(image, deadline)
