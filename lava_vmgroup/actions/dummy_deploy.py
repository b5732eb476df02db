# SPDX-License-Identifier: MIT
"""``dummy_deploy``: name the system of a node that needs no deployment; touches no device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.job.model import Action, Scope

if TYPE_CHECKING:
    from lava_vmgroup.nodes.node import Node

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["target_type"],
    "x-once": True,
    "properties": {
        "target_type": {
            "enum": ["ubuntu", "oe", "fedora"],
            "description": "The kind of system that runs there.",
        }
    },
}


def check(action: Action, scope: Scope) -> Iterator[str]:  # noqa: ARG001
    """Yield nothing: the action names no files."""
    return iter(())


def run(action: Action, node: Node, deadline: Deadline) -> None:  # noqa: ARG001
    """Record the kind of system in the node's attributes."""
    node.attributes["target_type"] = action.parameters["target_type"]
