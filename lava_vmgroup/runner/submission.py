# SPDX-License-Identifier: MIT
"""The end of a group: its results go to the dashboards that its actions name."""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.job.model import VMGroup
from lava_vmgroup.results.fold import cause_of, exit_status_of
from lava_vmgroup.results.model import ActionResult, JobResult, NodeResult
from lava_vmgroup.results.writers import replace_file
from lava_vmgroup.runner.dashboard import Submission, Submitted, submit
from lava_vmgroup.runner.outputs import Outputs

URL_FILE = "result-bundle"
"""The file in which LAVA's scheduler looks for the bundle's URL."""


def submissions_of(
    group: VMGroup, result: JobResult, elsewhere: Collection[str] = ()
) -> list[Submission]:
    """Return the submissions that the group's actions ask for, the host's first.

    `elsewhere` names the nodes of other processes that ask for one.  Of the sub-jobs, only the one
    with number 0 submits, also for the others, as it gets all results.
    """
    if not group.is_sub_job:
        pairs = [*zip(group.nodes, result.nodes, strict=True)]
    elif group.nodes[0].number == 0:
        own = group.nodes[0]
        wanting = {own.sub_id} | {one.sub_id for one in result.nodes if one.name in elsewhere}
        pairs = [(own, node) for node in result.nodes if node.sub_id in wanting]
    else:
        return []
    return [
        Submission(
            command=action.command,
            node=node.name,
            server=action.parameters["server"],
            stream=action.parameters["stream"],
            token=action.parameters.get("token"),
        )
        for job, node in pairs
        for action in job.submissions
    ]


def submitted(
    result: JobResult,
    submissions: Sequence[Submission],
    outputs: Outputs,
    inbox: queue.SimpleQueue[NodeResult | VMGroupError | None],
    limit_s: float,
) -> JobResult:
    """Submit the results, and return `result` with the outcome and the bundles' URLs added.

    Blocks for little more than `limit_s` seconds at most; a cancel in the runner's `inbox` ends
    it.  An error becomes the result's cause, if it has none.
    """
    if not submissions:
        return result
    token = CancelToken()
    deadline = Deadline.after("submitting the results", limit_s, token)
    outcomes: list[Submitted] = []

    def work() -> None:
        try:
            outcomes.extend(submit(result, submissions, deadline))
        finally:
            inbox.put(None)

    worker = threading.Thread(target=work, name="submission")
    worker.start()
    _wait(inbox, deadline, token)
    worker.join()
    errors = [one.error for one in outcomes if one.error is not None]
    urls = tuple(one.url for one in outcomes if one.url is not None)
    errors += _keep(urls, outputs.folder)
    _tell(outcomes)
    for line in _announcements(outcomes, result.job_name):
        outputs.announce(line)
    cause = result.cause or cause_of(errors)
    return replace(
        result,
        nodes=tuple(_with_actions(node, outcomes) for node in result.nodes),
        bundle_urls=urls,
        cause=cause,
        exit_status=exit_status_of(cause, result.nodes),
    )


def _wait(
    inbox: queue.SimpleQueue[NodeResult | VMGroupError | None],
    deadline: Deadline,
    token: CancelToken,
) -> None:
    """Wait for the worker; cancel its token if the time is over or a cancel arrives."""
    while not deadline.expired:
        try:
            event = inbox.get(timeout=deadline.remaining_s)
        except queue.Empty:
            break
        if event is None:
            return
        if isinstance(event, Canceled):
            token.cancel(event)
    token.cancel(deadline.error())


def _keep(urls: Sequence[str], output: Path) -> list[VMGroupError]:
    """Write the URLs to `URL_FILE`, and return the error if that fails."""
    try:
        if urls:
            replace_file(output / URL_FILE, "\n".join(urls))
    except VMGroupError as error:
        return [error]
    return []


def _tell(outcomes: Sequence[Submitted]) -> None:
    log = NodeLog()
    for one in outcomes:
        if one.error is not None:
            log.event("error", one.error.describe(), level=40, error=type(one.error).__name__)
        else:
            log.event("submitted", f"the results are at {one.url}", url=one.url)


def _announcements(outcomes: Sequence[Submitted], job_name: str) -> Iterator[str]:
    """Yield the lines that LAVA v1's dispatcher writes out of band for its scheduler."""
    for one in outcomes:
        yield from (f"dashboard-put-pending: {sha1}" for sha1 in one.pending)
        if one.url is not None:
            single = not one.pending
            yield (
                f"dashboard-put-result: {one.url}"
                if single
                else (f"dashboard-group: {one.url} {job_name}")
            )


def _with_actions(node: NodeResult, outcomes: Sequence[Submitted]) -> NodeResult:
    actions = [
        ActionResult(
            command=submission.command,
            started_at=one.started_at,
            duration_s=one.duration_s,
            error=one.error,
        )
        for one in outcomes
        for submission in one.submissions
        if submission.node == node.name
    ]
    return replace(node, actions=(*node.actions, *actions))
