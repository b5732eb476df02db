# SPDX-License-Identifier: MIT
"""``deploy_linaro_image``: a complete disk image for a host or a virtual machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import fetch, reference_problems
from lava_vmgroup.job.model import Action, Job
from lava_vmgroup.nodes.node import Node

ALIASES = ("deploy_image",)

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {"image": {"type": "string", "minLength": 1}},
}


def check(action: Action, job: Job) -> Iterator[str]:
    """Whether the image is there."""
    for problem in reference_problems(action.parameters["image"], job.folder, disk=True):
        yield f"image: {problem}"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Fetch the image and put it where the node's next boot finds it."""
    shared = node.shared
    downloads = shared.work / node.name
    image = fetch(action.parameters["image"], shared.group.job.folder, downloads, deadline)
    node.deploy_image(image, deadline)
