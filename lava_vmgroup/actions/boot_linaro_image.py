# SPDX-License-Identifier: MIT
"""``boot_linaro_image``: boot the deployed system, even if the node is up already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.config.settings import BOOT_PARAMETERS, BootSettings, boot_problems
from lava_vmgroup.job.model import Action, Scope

if TYPE_CHECKING:
    from lava_vmgroup.nodes.node import Node

ALIASES = ("boot_image",)

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {**BOOT_PARAMETERS},
}


def check(action: Action, scope: Scope) -> Iterator[str]:
    """Yield the problems of the prompts and the boot commands."""
    yield from boot_problems(action.parameters, typed_at_prompt=scope.on_host)


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Boot the node; a host first waits for its VMs to close."""
    node.boot(deadline, BootSettings.of(action.parameters))
