# SPDX-License-Identifier: MIT
"""The run of a group's nodes in this process, one thread each: all nodes, or a sub-job's one.

Nodes meet through the coordinator only, so a node runs the same way wherever the others run.  A
whole group has a coordinator of its own; a sub-job uses the lab's.

If the host fails, its VMs end, too.  If a VM fails, its peers stop waiting for it; their other work
continues.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lava_vmgroup.base.cancel import CancelToken, cancel_all, next_item
from lava_vmgroup.base.clock import now, seconds_set
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, DeadlineExpired, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.scratch import scratch_folder
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.job.model import NodeJob, VMGroup
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.nodes.cleanup import Cleanup
from lava_vmgroup.nodes.host import HostNode
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.nodes.shared_host import SharedHost
from lava_vmgroup.nodes.vm import VMNode
from lava_vmgroup.results.fold import (
    canceled_itself,
    cause_of,
    exit_status_of,
    sub_job_status,
)
from lava_vmgroup.results.model import JobResult, NodeResult
from lava_vmgroup.runner.gathering import Gathering
from lava_vmgroup.runner.labgrid import taken_away
from lava_vmgroup.runner.node import NodeRun
from lava_vmgroup.runner.outputs import Outputs
from lava_vmgroup.runner.submission import submissions_of, submitted
from lava_vmgroup.vms.images import ImageLibrary
from lava_vmgroup.vms.requires import questions_of

_HURRY_S = 5.0
_SUBMIT_S = 300.0
_CLOCK_SET_S = 2.0
"""Seconds by which the clock must be set for a warning."""


class GroupRun:
    """The run of a group's nodes; a signal handler may call `cancel`, any thread `fail`."""

    def __init__(
        self,
        group: VMGroup,
        lab: Lab,
        job_id: str,
        outputs: Outputs,
        coordinator: Endpoint | None = None,
    ) -> None:
        """Prepare a run; without a `coordinator` it has one of its own."""
        self._group = group
        self._lab = lab
        self._outputs = outputs
        self._job_id = job_id
        self._coordinator = coordinator
        self._log = NodeLog()
        self._inbox: queue.SimpleQueue[NodeResult | VMGroupError | None] = queue.SimpleQueue()
        self._tokens: list[CancelToken] = []
        self._errors: list[VMGroupError] = []
        self._hurrying: list[threading.Timer] = []
        self._canceled: Canceled | None = None
        self._lock = threading.Lock()

    def cancel(self, reason: Canceled) -> None:
        """Ask the run to end and clean up; a second call leaves the clean-up less time."""
        self._canceled = self._canceled or reason
        self._inbox.put(reason)

    def fail(self, error: VMGroupError) -> None:
        """End the run, and clean up, for an error that is no node's own."""
        self._node_failed(error)
        self._inbox.put(error)

    def run(self) -> JobResult:
        """Run every node, submit the results, and return them; blocks until all is cleaned up.

        Errors of nodes and of the submission are part of the result.
        """
        started_at, started = now(), time.monotonic()
        settings = self._group.settings
        for key in settings.obsolete:
            self._log.event("obsolete", f"{key} in the job is obsolete and ignored", key=key)
        with (
            scratch_folder() as work,
            JobFiles(settings.folder, self._lab.dispatcher, work / "files") as files,
            self._meeting() as coordinator,
        ):
            shared = self._share(work, files, coordinator)
            gathering = self._gathering()
            results = self._run_nodes(shared, gathering)
        self._tell_clock()
        results = tuple(canceled_itself(result, self._canceled) for result in results)
        ends = [result.error for result in results if result.error is not None]
        if ends and (taken := taken_away(self._lab.device)):
            ends.append(taken)
        cause = cause_of([*self._errors, *gathering.errors, *ends])
        results = gathering.merged(results)
        result = JobResult(
            job_name=settings.name,
            job_id=self._job_id,
            target_group=self._group.target_group,
            group_size=self._group.size,
            started_at=started_at,
            duration_s=time.monotonic() - started,
            nodes=results,
            tags=settings.tags,
            attributes={
                "logging_level": settings.logging_level,
                "auto_start_vms": "true" if self._group.nodes[0].auto_start_vms else "false",
            },
            uploads=shared.host.uploads,
            cause=cause,
            exit_status=exit_status_of(cause, results),
        )
        limit_s = shared.cleanup.step_s if isinstance(cause, Canceled) else _SUBMIT_S
        wishes = submissions_of(self._group, result, gathering.submitting)
        result = submitted(result, wishes, self._outputs, self._inbox, limit_s)
        if not self._group.is_sub_job:
            return result
        return replace(result, exit_status=sub_job_status(result, self._group.nodes[0].sub_id))

    def _tell_clock(self) -> None:
        """Warn if the clock was set while the job ran."""
        seconds = seconds_set()
        if abs(seconds) >= _CLOCK_SET_S:
            self._log.warning(
                "clock",
                f"the dispatcher's clock was set by {seconds:+.0f} s while the job ran, or the "
                "machine slept; the times of the results are those of the clock as it was",
                seconds=seconds,
            )

    @contextmanager
    def _meeting(self) -> Iterator[Endpoint]:
        """Yield the endpoint of the group's coordinator; run one if none was given."""
        if self._coordinator is not None:
            yield self._coordinator
            return
        with Coordinator(token=secrets.token_hex(32)) as own:
            yield own.endpoint

    def _gathering(self) -> Gathering:
        return Gathering(
            is_needed=self._group.is_sub_job,
            deadline=Deadline.after("the job", self._group.settings.timeout_s),
            tokens=self._tokens,
        )

    def _share(self, work: Path, files: JobFiles, coordinator: Endpoint) -> Shared:
        # A node that runs beside slow hardware is slow, too.
        scale = max(self._config_of(node).timeout_scale for node in self._group.nodes)
        return Shared(
            group=self._group,
            lab=self._lab,
            coordinator=coordinator,
            output=self._outputs.folder,
            work=work,
            files=files,
            images=ImageLibrary(work / "images"),
            host=SharedHost(self._group.target_group, questions_of(self._group.nodes, self._lab)),
            cleanup=Cleanup(scale),
            timeout_scale=scale,
            console_copy=self._outputs.console_copy,
        )

    def _config_of(self, node: NodeJob) -> DeviceConfig:
        if not node.is_host:
            return self._lab.type_of(node.device_type)
        assert self._lab.device is not None, "a process that runs a host has its device"
        return self._lab.device

    def _run_nodes(self, shared: Shared, gathering: Gathering) -> tuple[NodeResult, ...]:
        nodes = [self._make_node(job, shared) for job in self._group.nodes]
        threads = [
            threading.Thread(target=self._run_node, args=(node, gathering), name=node.name)
            for node in nodes
        ]
        for thread in threads:
            thread.start()
        results: dict[str, NodeResult] = {}
        cancels = 0
        while len(results) < len(nodes):
            event = next_item(self._inbox)
            if isinstance(event, VMGroupError):
                cancels += isinstance(event, Canceled)
                self._cancel_all(event, shared, hurry=cancels > 1)
            elif event is not None:
                results[event.name] = event
        for timer in self._hurrying:
            timer.cancel()
        for thread in (*threads, *self._hurrying):
            thread.join()
        return tuple(results[node.name] for node in nodes)

    def _make_node(self, job: NodeJob, shared: Shared) -> Node:
        token = CancelToken()
        self._tokens.append(token)
        if job.is_host:
            return HostNode(job, self._config_of(job).hostname, shared, token)
        assert job.target is not None, "every VM has a name"
        return VMNode(job, job.target, shared, token)

    def _run_node(self, node: Node, gathering: Gathering) -> None:
        limit_s = self._group.settings.timeout_s
        deadline = Deadline.after("the job", limit_s, node.token, node.shared.timeout_scale)
        self._inbox.put(NodeRun(node, deadline, self._node_failed, gathering.report).run())

    def _node_failed(self, error: VMGroupError) -> None:
        with self._lock:
            self._errors.append(error)

    def _cancel_all(self, reason: VMGroupError, shared: Shared, *, hurry: bool) -> None:
        if hurry:
            self._hurry(shared)
        self._log.warning("cancel", f"{reason.message}; cleaning up")
        # Each node gets an error of its own, because `at` notes the node in the error.
        cancel_all((token, reason.again()) for token in self._tokens)

    def _hurry(self, shared: Shared) -> None:
        """Leave each step of the clean-up only `_HURRY_S`, also the steps that have begun."""
        begun = shared.cleanup.hurry(_HURRY_S)
        late = DeadlineExpired(
            f"timed out: a step of the hurried clean-up, limit {shared.cleanup.step_s:g} s"
        )
        timer = threading.Timer(shared.cleanup.step_s, begun.cancel, [late])
        self._hurrying.append(timer)
        timer.start()
