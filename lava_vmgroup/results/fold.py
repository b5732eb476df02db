# SPDX-License-Identifier: MIT
"""From what each node reports to what the job reports: the cause and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lava_vmgroup.base.errors import Canceled, PeerFailed, VMGroupError, WaitExpired
from lava_vmgroup.results.model import JobResult, NodeResult, NodeState, Outcome

STATUS_FAILED_TESTS = 1


def cause_of(errors: Sequence[VMGroupError]) -> VMGroupError | None:
    """The error to report first: `errors` are in the order in which they happened.

    A node that ended because another one failed says so and is no cause; one that waited for others
    in vain is one only where nobody has a better.
    """
    causes = [error for error in errors if not isinstance(error, PeerFailed)]
    better = [error for error in causes if not isinstance(error, WaitExpired)]
    return next(iter(better or causes or errors), None)


def canceled_itself(node: NodeResult, reason: Canceled | None) -> NodeResult:
    """The result of a node whose job was canceled when it was already cleaning up.

    A scheduler cancels the nodes of a group one after the other, so a peer's cancel may be heard
    first.  It is the same cancel.  Any other failure of a peer stands.
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
    """What ``lava-dispatch`` exits with; see ``docs/errors.rst``."""
    if isinstance(cause, Canceled):
        return cause.status
    if cause is not None:
        return cause.exit_status
    failed = any(node.count(Outcome.FAIL) for node in nodes)
    return STATUS_FAILED_TESTS if failed else 0


def sub_job_status(result: JobResult, sub_id: str) -> int:
    """What ``lava-dispatch`` exits with after a sub-job.

    A LAVA scheduler takes 0 for Complete, whatever the tests said and whatever others did.
    """
    errors = {node.sub_id: node.error for node in result.nodes}
    cause = errors[sub_id]
    if cause is None and result.cause not in errors.values():
        cause = result.cause
    return exit_status_of(cause, ())
