# SPDX-License-Identifier: MIT
"""The whole group: one thread per node, one coordinator, one result.

A host that fails takes its VMs with it.  A VM that fails does not end its peers: their waits
for it are given up, and what they do without it goes on.
"""

from __future__ import annotations

import queue
import secrets
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lava_vmgroup.cancel import CancelToken
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.errors import Canceled, PeerFailed, VMGroupError
from lava_vmgroup.job.model import Group, NodeJob
from lava_vmgroup.log import NodeLog
from lava_vmgroup.multinode.coordinator import Coordinator
from lava_vmgroup.nodes.host import HostNode
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.shared import ClosedVMs, Shared
from lava_vmgroup.nodes.vm import VMNode
from lava_vmgroup.results.fold import cause_of, exit_status_of
from lava_vmgroup.results.model import JobResult, NodeResult
from lava_vmgroup.runner.node import NodeRun
from lava_vmgroup.runner.submission import submissions_of, submitted
from lava_vmgroup.vms.images import ImageLibrary

_HURRY_S = 5.0
_SUBMIT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """What the dispatcher's configuration contributes to a run."""

    device: DeviceConfig
    dispatcher: DispatcherConfig
    search_path: tuple[Path, ...]


class GroupRun:
    """Runs one group; `cancel` may be called from a signal handler."""

    def __init__(self, group: Group, lab: Lab, output: Path, job_id: str) -> None:
        self._group = group
        self._lab = lab
        self._output = output
        self._job_id = job_id
        self._log = NodeLog()
        self._inbox: queue.SimpleQueue[NodeResult | Canceled | None] = queue.SimpleQueue()
        self._tokens: list[CancelToken] = []
        self._errors: list[VMGroupError] = []
        self._lock = threading.Lock()

    def cancel(self, reason: Canceled) -> None:
        """Ask the run to end: gracefully at first, in a hurry when asked again."""
        self._inbox.put(reason)

    def run(self) -> JobResult:
        """Run every node to its end; blocks until all is cleaned up."""
        started_at, started = datetime.now(UTC), time.monotonic()
        for key in self._group.job.obsolete:
            self._log.event("obsolete", f"{key} in the job is obsolete and ignored", key=key)
        with (
            tempfile.TemporaryDirectory(prefix="lava-vmgroup-") as work,
            JobFiles(self._group.job.folder, self._lab.dispatcher, Path(work) / "files") as files,
            Coordinator(token=secrets.token_hex(32)) as coordinator,
        ):
            shared = self._share(Path(work), files, coordinator.endpoint)
            results = self._run_nodes(shared)
            host = shared.host_if_offered
        cause = cause_of(self._errors)
        result = JobResult(
            job_name=self._group.job.name,
            job_id=self._job_id,
            target_group=self._group.target_group,
            started_at=started_at,
            duration_s=time.monotonic() - started,
            nodes=results,
            tags=self._group.job.tags,
            attributes={
                "logging_level": self._group.job.logging_level,
                "auto_start_vms": "true" if self._group.job.auto_start_vms else "false",
            },
            uploads=host.store.uploads() if host is not None else (),
            cause=cause,
            exit_status=exit_status_of(cause, results),
        )
        limit_s = shared.grace_s if isinstance(cause, Canceled) else _SUBMIT_S
        wishes = submissions_of(self._group, result)
        return submitted(result, wishes, self._output, self._inbox, limit_s)

    def _share(self, work: Path, files: JobFiles, coordinator: Endpoint) -> Shared:
        return Shared(
            group=self._group,
            device=self._lab.device,
            dispatcher=self._lab.dispatcher,
            search_path=self._lab.search_path,
            coordinator=coordinator,
            output=self._output,
            work=work,
            key=JobKey(),
            files=files,
            images=ImageLibrary(work / "images"),
            closed_vms=ClosedVMs(len(self._group.nodes) - 1),
        )

    def _run_nodes(self, shared: Shared) -> tuple[NodeResult, ...]:
        nodes = [self._make_node(job, shared) for job in self._group.nodes]
        threads = [
            threading.Thread(target=self._run_node, args=(node,), name=node.name) for node in nodes
        ]
        for thread in threads:
            thread.start()
        results: dict[str, NodeResult] = {}
        cancels = 0
        while len(results) < len(nodes):
            event = self._inbox.get()
            if isinstance(event, Canceled):
                cancels += 1
                self._cancel_all(event, shared, hurry=cancels > 1)
            elif event is not None:
                results[event.name] = event
        for thread in threads:
            thread.join()
        return tuple(results[node.name] for node in nodes)

    def _make_node(self, job: NodeJob, shared: Shared) -> Node:
        token = CancelToken()
        self._tokens.append(token)
        if job.is_host:
            return HostNode(job, self._lab.device.hostname, shared, token)
        assert job.target is not None, "expansion names every VM"
        return VMNode(job, job.target, shared, token)

    def _run_node(self, node: Node) -> None:
        limit_s = self._group.job.timeout_s
        deadline = Deadline.after("the job", limit_s, node.token)
        result = NodeRun(node, deadline, self._node_failed).run()
        if not node.job.is_host:
            node.shared.closed_vms.one_closed()
        self._inbox.put(result)

    def _node_failed(self, node: Node, error: VMGroupError) -> None:
        with self._lock:
            self._errors.append(error)
        if not node.job.is_host:
            return
        for token in self._tokens:
            if token is not node.token:
                token.cancel(_because(node, error))

    def _cancel_all(self, reason: Canceled, shared: Shared, *, hurry: bool) -> None:
        if hurry:
            shared.grace_s = _HURRY_S
        self._log.warning("cancel", f"{reason.message}; cleaning up")
        for token in self._tokens:
            token.cancel(_again(reason))


def _because(host: Node, error: VMGroupError) -> VMGroupError:
    """Why a VM ends with its host; an error of its own, as errors learn where they happened."""
    if isinstance(error, Canceled):
        return _again(error)
    return PeerFailed(f"the host {host.name} failed: {error.message}")


def _again(reason: Canceled) -> Canceled:
    return Canceled(reason.message, signal_number=reason.signal_number)
