# SPDX-License-Identifier: MIT
"""``lava_command_run``: single commands in the node's shell, each of them a test case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.user_pattern import pattern_problem
from lava_vmgroup.console.framing import MAX_LINE, typed_length
from lava_vmgroup.job.model import Action, Scope

if TYPE_CHECKING:
    from lava_vmgroup.nodes.node import Node

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["commands"],
    "properties": {
        "commands": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "string",
                "pattern": r"^\s*[^\s#\x00-\x1f\x7f][^\x00-\x1f\x7f]*\Z",
                "x-expected": "one line of shell that runs something",
            },
            "description": "Lines of shell.",
        },
        "parser": {
            "type": "string",
            "description": "A regular expression for results in the commands' output.",
        },
        "fixupdict": {
            "type": "array",
            "items": {
                "type": "string",
                "pattern": r"^.+:(pass|fail|skip|unknown)\Z",
                "x-expected": "WORD:RESULT with pass, fail, skip or unknown as the result",
            },
            "description": "How the words that the parser finds are read.",
        },
        "iterations": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1000,
            "description": "How often all the commands are run.",
        },
        "timeout": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "Seconds for each command.",
        },
    },
}


def check(action: Action, scope: Scope) -> Iterator[str]:  # noqa: ARG001
    """Yield a problem for each command that is too long to type, and for a bad parser."""
    for index, command in enumerate(action.parameters["commands"]):
        excess = typed_length(command) - MAX_LINE
        if excess > 0:
            yield (
                f"commands[{index}]: expected a command that fits into a line of a terminal "
                f"({MAX_LINE} bytes, quotes counted), this one has {excess} too many; "
                "put it into a script"
            )
    if "parser" in action.parameters:
        problem = pattern_problem(action.parameters["parser"])
        if problem is not None:
            yield f"parser: {problem}"
    elif "fixupdict" in action.parameters:
        yield "fixupdict: has no effect without a parser; give one, or remove it"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Boot the node if it is not up, and run the commands one after the other.

    The test run is recorded even if an error ends it.
    """
    # The check of a job need not wait for what a run imports.
    from lava_vmgroup.systems.command_run import CommandRun

    node.ensure_booted(deadline)
    CommandRun(node.shell, node.recorder, node.watch, node.log, action.parameters).run(deadline)
