# SPDX-License-Identifier: MIT
"""Folding of the nodes' errors into one cause and one exit status for the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lava_vmgroup.base.errors import Canceled, DeviceTaken, PeerFailed, VMGroupError, WaitExpired
from lava_vmgroup.results.model import JobResult, NodeResult, NodeState, Outcome

STATUS_FAILED_TESTS = 1


def cause_of(errors: Sequence[VMGroupError]) -> VMGroupError | None:
    """Return the error to report first, or None; `errors` are in the order in which they happened.

    A node with `PeerFailed` ended because another one failed, so another error goes first.  A node
    with `WaitExpired` waited for others in vain, so an error of these goes first.  Whatever else
    fails on a device that somebody has taken away, `DeviceTaken` explains it.
    """
    taken = [error for error in errors if isinstance(error, DeviceTaken)]
    causes = [error for error in errors if not isinstance(error, PeerFailed)]
    better = [error for error in causes if not isinstance(error, WaitExpired)]
    return next(iter(taken or better or causes or errors), None)


def canceled_itself(node: NodeResult, reason: Canceled | None) -> NodeResult:
    """Return the node's result, as canceled itself if only a peer's cancel ended it.

    `reason` is this process's own cancel, or None.  A scheduler cancels the nodes of a group one
    after the other, so a node may learn of a peer's cancel first.  Both are the same cancel.  Any
    other failure of a peer stays.
    """
    error = node.error
    if reason is None or not isinstance(error, PeerFailed) or not error.canceled:
        return node
    own = Canceled(reason.message, signal_number=reason.signal_number)
    own.at(node=error.node, action=error.action)
    actions = tuple(
        replace(action, error=own) if action.error is error else action for action in node.actions
    )
    return replace(node, state=NodeState.CANCELED, error=own, actions=actions)


def exit_status_of(cause: VMGroupError | None, nodes: Sequence[NodeResult]) -> int:
    """Return the exit status of ``lava-dispatch``; see ``docs/errors.rst``."""
    if isinstance(cause, Canceled):
        return cause.status
    if cause is not None:
        return cause.exit_status
    failed = any(node.count(Outcome.FAIL) for node in nodes)
    return STATUS_FAILED_TESTS if failed else 0


def sub_job_status(result: JobResult, sub_id: str) -> int:
    """Return the exit status of ``lava-dispatch`` after the sub-job `sub_id`.

    A LAVA scheduler takes 0 for Complete.  So failed tests and other nodes' errors do not count;
    the sub-job's own error does, or else an error that belongs to no node.
    """
    errors = {node.sub_id: node.error for node in result.nodes}
    cause = errors[sub_id]
    if cause is None and result.cause not in errors.values():
        cause = result.cause
    return exit_status_of(cause, ())
