# SPDX-License-Identifier: MIT
"""Bringing the results of a group together when its nodes are run by different processes.

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
from lava_vmgroup.multinode.wire import REQUEST_LIMIT
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.results import portable
from lava_vmgroup.results.model import NodeResult

_CLEANUP_STEPS = 4
"""How many steps the others' cleaning up may have."""
_RESULT, _SUBMITS = "result", "submits"
"""What a node hands in: its result, and whether its job wants that submitted."""
_ROOM = 4096
"""Bytes that a request may need beside the results."""


class Gathering:
    """The results of nodes that other processes run, once this process has them."""

    def __init__(self, *, is_needed: bool, deadline: Deadline, tokens: list[CancelToken]) -> None:
        """`deadline` is the job's; what waits adds its token to `tokens`, to be canceled by."""
        self._is_needed = is_needed
        self._deadline = deadline
        self._tokens = tokens
        self._others: list[NodeResult] = []
        self.submitting: set[str] = set()
        """The nodes of other processes whose job wants their results submitted."""

    def report(self, node: Node, result: NodeResult) -> None:
        """Hand in a node's result; the node with number 0 waits for those of all others."""
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
        """The results of this process and of the others, in the order of the group."""
        return tuple(sorted((*results, *self._others), key=_number))

    @property
    def errors(self) -> list[VMGroupError]:
        """What ended other nodes early."""
        return [node.error for node in self._others if node.error is not None]

    def _take(self, name: str, data: Any, log: NodeLog) -> None:
        """Take what another node has handed in, unless it makes no sense."""
        try:
            if not isinstance(data, Mapping):
                raise MultiNodeError(f"expected an object, got {type(data).__name__}")
            result = portable.from_data(data.get(_RESULT))
            # The name becomes that of a folder.
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
        """The others have the job's time, unless it is over, and that for cleaning up."""
        remaining_s = 0.0 if node.token.reason is not None else self._deadline.remaining_s
        limit_s = remaining_s + _CLEANUP_STEPS * node.shared.cleanup_s
        return Deadline.after("the others' results", limit_s, token)


def _number(result: NodeResult) -> int:
    return int(result.sub_id.rpartition(".")[2])


def _data(result: NodeResult, log: NodeLog) -> Mapping[str, Any]:
    data = portable.to_data(result)
    if len(json.dumps(data)) + _ROOM <= REQUEST_LIMIT:
        return data
    log.warning("results", "the group's results go without this node's attachments: too large")
    return portable.to_data(portable.without_attachments(result))
