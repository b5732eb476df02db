# SPDX-License-Identifier: MIT
"""Results that come from other processes are taken from members of the group only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.nodes.cleanup import Cleanup
from lava_vmgroup.results import portable
from lava_vmgroup.results.model import JobResult
from lava_vmgroup.runner.gathering import Gathering
from tests.unit.results.conftest import deadline, host, job_result, smoke_run, vm

__all__ = ["deadline", "host", "job_result", "smoke_run", "vm"]


class Client:
    """A member's client that is handed these results."""

    def __init__(self, got: dict[str, Any]) -> None:
        self._got = got

    def with_token(self, token: CancelToken) -> Client:
        return self

    def aggregate(self, data: Any, sub_id: str, deadline: Deadline) -> dict[str, Any]:
        return self._got


class Member:
    """The gathering's view of the node with number 0."""

    name = "host"
    log = NodeLog("host")

    def __init__(self, got: dict[str, Any]) -> None:
        self.client = Client(got)
        self.token = CancelToken()
        self.job = type("Job", (), {"submissions": ()})
        self.shared = type("Shared", (), {"cleanup": Cleanup(1.0)})


def taken(name: str, sub_id: str, result: JobResult) -> list[str]:
    """The names of the results that are there when another member has handed one in."""
    other = replace(result.nodes[0], name=name, sub_id=sub_id)
    node: Any = Member({name: {"result": portable.to_data(other)}})
    gathering = Gathering(is_needed=True, deadline=Deadline.after("the job", 60.0), tokens=[])
    gathering.report(node, replace(result.nodes[0], name="host", sub_id="1.0"))
    return [one.name for one in gathering.merged(())]


def test_the_result_of_another_member_is_taken(job_result: JobResult) -> None:
    assert taken("vm2-job1.1", "1.1", job_result) == ["vm2-job1.1"]


@pytest.mark.parametrize(
    ("name", "sub_id"),
    [
        ("../../etc", "1.1"),
        ("/etc", "1.1"),
        (".hidden", "1.1"),
        ("a\n", "1.1"),
        ("", "1.1"),
        ("vm", "1.x"),
        ("vm", "1"),
        ("vm", f"1.{'9' * 5000}"),
        ("vm", "1.\u00b2"),
    ],
)
def test_a_result_that_could_not_be_written_where_it_belongs_is_not_taken(
    name: str, sub_id: str, job_result: JobResult
) -> None:
    assert taken(name, sub_id, job_result) == []
