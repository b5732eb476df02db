# SPDX-License-Identifier: MIT
"""``boot_linaro_image``: boot what was deployed, even if the node runs already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.job.model import Action, Job
from lava_vmgroup.nodes.node import Node

ALIASES = ("boot_image",)

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {},
}


def check(action: Action, job: Job) -> Iterator[str]:  # noqa: ARG001
    """It names no files."""
    return iter(())


def run(action: Action, node: Node, deadline: Deadline) -> None:  # noqa: ARG001
    """Boot the node; a host waits for its VMs before."""
    node.boot(deadline)
