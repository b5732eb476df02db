# SPDX-License-Identifier: MIT
"""Gathering of a group's results when different processes run its nodes.

As in LAVA v1 each node hands its results to the coordinator, and the node whose ``sub_id`` ends
with ``.0`` waits for all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import MultiNodeError, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.job.schema import NAME_PATTERN
from lava_vmgroup.multinode.frames import REQUEST_LIMIT
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.results import portable
from lava_vmgroup.results.model import NodeResult

_CLEANUP_STEPS = 4
"""Steps of clean-up for which the other nodes are given time."""
_RESULT, _SUBMITS = "result", "submits"
"""Keys of the data that a node hands in: its result, and True if its job submits it."""
_ROOM = 4096
"""Bytes that a request may need beside the results."""


class Gathering:
    """The results of the nodes that other processes run, as far as this process has got them."""

    def __init__(self, *, is_needed: bool, deadline: Deadline, tokens: list[CancelToken]) -> None:
        """Take the job's `deadline`; each `report` adds its token to `tokens` for the runner.

        Without `is_needed`, this process runs all nodes, and `report` returns at once.
        """
        self._is_needed = is_needed
        self._deadline = deadline
        self._tokens = tokens
        self._others: list[NodeResult] = []
        self.submitting: set[str] = set()
        """The nodes of other processes whose jobs submit their results."""

    def report(self, node: Node, result: NodeResult) -> None:
        """Hand in a node's result; the node with number 0 waits for those of all others.

        If that fails, logs a warning and goes on without them.
        """
        if not self._is_needed:
            return
        token = CancelToken()
        self._tokens.append(token)
        client = node.client.with_token(token)
        try:
            data = {_RESULT: _data(result, node.log), _SUBMITS: bool(node.job.submissions)}
            got = client.aggregate(data, result.sub_id, self._limit(node, token))
        except VMGroupError as error:
            node.log.warning("results", f"the group's results are not complete: {error.message}")
            return
        for name, data in (got or {}).items():
            if name != node.name:
                self._take(name, data, node.log)

    def merged(self, results: tuple[NodeResult, ...]) -> tuple[NodeResult, ...]:
        """Return the results of this process and of the others, in the order of the group."""
        return tuple(sorted((*results, *self._others), key=_number))

    @property
    def errors(self) -> list[VMGroupError]:
        """The errors that ended the nodes of other processes."""
        return [node.error for node in self._others if node.error is not None]

    def _take(self, name: str, data: Any, log: NodeLog) -> None:
        """Keep the result that another node has handed in; warn if it is not valid."""
        try:
            if not isinstance(data, Mapping):
                raise MultiNodeError(f"expected an object, got {type(data).__name__}")
            result = portable.from_data(data.get(_RESULT))
            # The name becomes a folder's, so it must not lead out of the output folder.
            named = re.fullmatch(NAME_PATTERN, name) and result.name == name
            if not named or not re.fullmatch(r".*\.[0-9]{1,9}", result.sub_id, re.DOTALL):
                raise MultiNodeError(f"it is that of {result.name!r}, {result.sub_id!r}")
        except MultiNodeError as error:
            log.warning("results", f"the results of {name} cannot be read: {error.message}")
            return
        self._others.append(result)
        if data.get(_SUBMITS) is True:
            self.submitting.add(name)

    def _limit(self, node: Node, token: CancelToken) -> Deadline:
        """Return the limit for the others' results.

        The others have the rest of the job's time, none after a cancel, and time to clean up.
        """
        remaining_s = 0.0 if node.token.reason is not None else self._deadline.remaining_s
        limit_s = remaining_s + _CLEANUP_STEPS * node.shared.cleanup.step_s
        return Deadline.after("the others' results", limit_s, token)


def _number(result: NodeResult) -> int:
    return int(result.sub_id.rpartition(".")[2])


def _data(result: NodeResult, log: NodeLog) -> Mapping[str, Any]:
    """Return the result as data, without its attachments if a request cannot hold them."""
    data = portable.to_data(result)
    if len(json.dumps(data)) + _ROOM <= REQUEST_LIMIT:
        return data
    log.warning("results", "the group's results go without this node's attachments: too large")
    return portable.to_data(portable.without_attachments(result))
