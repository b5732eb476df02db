# SPDX-License-Identifier: MIT
"""The run of one node in its own thread; every path ends with a result.

A node joins its group, runs its actions, cleans up, hands in its result and leaves the group.  If a
node fails, it tells the runner and the group before the clean-up, so that no member waits for it
meanwhile.  Leaving comes last: the coordinator counts a member as failed that goes without leaving.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from lava_vmgroup.actions import commands
from lava_vmgroup.base.clock import now
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, NodeSkipped, PeerFailed, VMGroupError
from lava_vmgroup.base.findings import refuse
from lava_vmgroup.job.model import Action
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.results.model import ActionResult, NodeResult, NodeState
from lava_vmgroup.systems import tools

_ASSEMBLE_S = 90.0
_ASSEMBLE_ELSEWHERE_S = 600.0
"""Seconds for the group to assemble, if a scheduler starts its nodes one after the other."""

OnFailure = Callable[[VMGroupError], None]
"""Callback for a node's failure; called before the node cleans up."""

Report = Callable[[Node, NodeResult], None]
"""Callback that hands in a node's result; called before the node leaves the group."""


class NodeRun:
    """The run of one node."""

    def __init__(
        self, node: Node, deadline: Deadline, on_failure: OnFailure, report: Report
    ) -> None:
        self._node = node
        self._deadline = deadline
        self._on_failure = on_failure
        self._report = report
        self._actions: list[ActionResult] = []
        self._metadata: dict[str, str] = {}
        self._started_at = now()
        self._started = time.monotonic()

    def run(self) -> NodeResult:
        """Run the node from joining the group to leaving it, and return its result; never raise."""
        node = self._node
        node.log.event(
            "node-start",
            f"{node.job.role} ({node.job.device_type})",
            role=node.job.role,
            device_type=node.job.device_type,
        )
        if not node.job.is_host and all("deploy" in one.command for one in node.job.actions):
            role = node.job.role
            node.log.warning("idle", f"role {role!r}: nothing is run on it, so it is not started")
        # The failure of a host ends the group: the watches of its VMs, in any process, cancel them.
        with node.client.watch(node.token.cancel, ends_group=node.job.is_host):
            error = self._guarded(self._take_part)
            skipped = error if isinstance(error, NodeSkipped) else None
            if skipped is not None:
                error = None
                node.log.warning("skipped", skipped.describe())
                self._guarded(lambda: self._tell_skipped(skipped))
            if error is not None:
                node.log.event("error", error.describe(), level=40, error=type(error).__name__)
                self._on_failure(error)
                self._guarded(lambda: self._tell_group(error))
            unclean = self._guarded(node.close)
            result = self._result(error or unclean, skipped)
            self._guarded(lambda: self._report(node, result))
            self._guarded(self._leave_group)
        return result

    def _take_part(self) -> None:
        node, deadline = self._node, self._deadline
        group = node.shared.group
        # The host looks for its VMs' tools, too: it need not boot for VMs that would fail.
        for job in group.nodes if node.job.is_host else [node.job]:
            refuse(tools.look(job))
        limit_s = _ASSEMBLE_ELSEWHERE_S if group.is_sub_job else _ASSEMBLE_S
        node.join(deadline.sub("the group to assemble", limit_s))
        for action in node.job.actions:
            self._run_action(action)
        node.finish(deadline)
        node.watch.check()

    def _run_action(self, action: Action) -> None:
        node, command = self._node, action.command
        self._metadata.update(action.metadata)
        node.log.event("action-start", f"{command} begins", command=command)
        started_at, started = now(), time.monotonic()
        error: VMGroupError | None = None
        try:
            commands()[command].run(action, node, self._deadline)
        except VMGroupError as failure:
            error = self._reason_for(failure)
            raise
        finally:
            seconds = time.monotonic() - started
            if not isinstance(error, NodeSkipped):
                self._actions.append(
                    ActionResult(
                        command=command, started_at=started_at, duration_s=seconds, error=error
                    )
                )
            node.log.event("action-end", f"{command} ends after {seconds:.1f} s", command=command)

    def _guarded(self, work: Callable[[], None]) -> VMGroupError | None:
        """Call `work` and return its error, if any; log the traceback of a bug."""
        try:
            work()
        except VMGroupError as error:
            reason = self._reason_for(error)
            return reason.at(node=self._node.name, action=self._current_action)
        except Exception as error:  # noqa: BLE001 - the last resort of a thread
            self._node.log.event("bug", traceback.format_exc(), level=40)
            bug = VMGroupError(
                f"{type(error).__name__}: {error}", hint="this is a bug, please report it"
            )
            bug.__cause__ = error
            return bug.at(node=self._node.name, action=self._current_action)
        return None

    def _reason_for(self, error: VMGroupError) -> VMGroupError:
        """Return the error that ends this node.

        If the node was canceled, a peer may have failed before for the same reason; then return
        the reason of the cancel.
        """
        reason = self._node.token.reason
        return reason if isinstance(error, PeerFailed) and reason is not None else error

    @property
    def _current_action(self) -> str | None:
        failed = [action.command for action in self._actions if action.error is not None]
        return failed[-1] if failed else None

    def _tell_group(self, error: VMGroupError) -> None:
        """Tell the coordinator that this node failed; it releases the members that wait for it."""
        deadline = self._node.shared.cleanup.step("telling the group of the failure")
        client = self._node.client.with_token(deadline.token)
        canceled = isinstance(error, Canceled) or (isinstance(error, PeerFailed) and error.canceled)
        ends_group = self._node.job.is_host
        client.fail(error.message, deadline, ends_group=ends_group, canceled=canceled)

    def _tell_skipped(self, skipped: NodeSkipped) -> None:
        """Tell the coordinator that this node is skipped, so that no member waits for it."""
        deadline = self._node.shared.cleanup.step("telling the group of the skip")
        self._node.client.with_token(deadline.token).skip(skipped.message, deadline)

    def _leave_group(self) -> None:
        deadline = self._node.shared.cleanup.step("leaving the group")
        self._node.client.with_token(deadline.token).clear(deadline)

    def _result(self, error: VMGroupError | None, skipped: NodeSkipped | None) -> NodeResult:
        node = self._node
        state = NodeState.COMPLETE if skipped is None else NodeState.SKIPPED
        if error is not None:
            canceled = isinstance(error, Canceled)
            state = NodeState.CANCELED if canceled else NodeState.INCOMPLETE
        node.log.event("node-end", state.value, state=state.value)
        return NodeResult(
            name=node.name,
            sub_id=node.job.sub_id,
            role=node.job.role,
            device_type=node.job.device_type,
            is_host=node.job.is_host,
            state=state,
            started_at=self._started_at,
            duration_s=time.monotonic() - self._started,
            actions=tuple(self._actions),
            runs=node.recorder.runs,
            error=error,
            skipped=None if skipped is None else skipped.described,
            # Attributes found on the node win over the job's metadata of the same name.
            attributes={**self._metadata, **node.attributes},
            faults=node.watch.faults,
        )
