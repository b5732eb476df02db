# SPDX-License-Identifier: MIT
"""A node's result reaches another process whole, and nothing that is no result does."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.base.errors import Canceled, JobError, MultiNodeError, TestError
from lava_vmgroup.results import portable
from lava_vmgroup.results.model import JobResult, NodeResult, TestRun


def sent(result: NodeResult) -> NodeResult:
    return portable.from_data(json.loads(json.dumps(portable.to_data(result))))


def plain(result: NodeResult) -> Any:
    """The result in a form in which errors can be compared."""
    return portable.to_data(result)


def test_every_part_of_a_result_arrives(job_result: JobResult, rich_run: TestRun) -> None:
    host, vm = job_result.nodes
    for node in (host, vm, replace(host, runs=(*host.runs, rich_run))):
        got = sent(node)
        assert plain(got) == plain(node)
        assert (got.runs, got.attributes, got.state) == (node.runs, node.attributes, node.state)
        assert got.started_at == node.started_at


def test_errors_arrive_as_what_they_were(job_result: JobResult) -> None:
    error = TestError("the shell broke", hint="look", last_lines=["oops"]).at(node="vm1")
    canceled = Canceled("canceled by SIGINT", signal_number=2)
    wrong = JobError("the job is not valid", problems=["a: no", "b: no"])

    for sample in (error, canceled, wrong):
        fields = {**portable.to_data(job_result.nodes[0])}
        fields["error"] = portable._encode_error(sample)
        got = portable.from_data(fields).error
        assert type(got) is type(sample)
        assert got is not None
        assert got.describe() == sample.describe()
        assert got.last_lines == sample.last_lines
        assert getattr(got, "problems", ()) == getattr(sample, "problems", ())


def test_error_that_stands_in_two_places_stays_one(job_result: JobResult) -> None:
    failed = next(node for node in job_result.nodes if node.error is not None)

    got = sent(failed)

    assert got.actions[-1].error is got.error


def paths(data: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in JSON data."""
    found = [above]
    if isinstance(data, dict | list):
        for key, item in data.items() if isinstance(data, dict) else enumerate(data):
            found += paths(item, (*above, key))
    return found


@given(st.data())
def test_broken_results_are_refused_and_break_nothing(job_result: JobResult, data: Any) -> None:
    result = json.loads(json.dumps(portable.to_data(job_result.nodes[0])))
    *way, last = data.draw(st.sampled_from(paths(result)[1:]))
    place = result
    for key in way:
        place = place[key]
    place[last] = data.draw(
        st.sampled_from([None, True, -1, 1e300, "", "x", [], [[]], {}, {"class": "Exception"}])
    )

    with suppress(MultiNodeError):
        portable.from_data(result)


@pytest.mark.parametrize("data", [None, [], {}, "x", 1, {"name": "x"}])
def test_what_is_no_result_is_refused(data: Any) -> None:
    with pytest.raises(MultiNodeError, match="not a node's result"):
        portable.from_data(data)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7},
        {"role": None},
        {"is_host": 1},
        {"skipped": 0},
        {"state": "complete"},
        {"actions": {}},
        {"attributes": {"accelerator": 1}},
        {"started_at": 0},
        {"duration_s": True},
        {"duration_s": "1"},
        {"duration_s": float("nan")},
        {"duration_s": float("inf")},
        {"duration_s": 10**400},
        {"started_at": "2026-03-01T09:00:00"},
        {"started_at": "0001-01-01T00:00:00+14:00"},
        {"error": {"class": "Canceled", "message": "", "signal_number": 10**9}},
        {"error": {"class": "Canceled", "message": ""}},
        {"error": {"class": "JobError", "message": "", "problems": "a"}},
        {"error": {"class": "KeyError", "message": ""}},
        {"error": {"class": "TestError", "message": None}},
    ],
)
def test_values_that_no_result_has_are_refused(
    change: dict[str, Any], job_result: JobResult
) -> None:
    data = {**portable.to_data(job_result.nodes[0]), **change}
    if data["error"]:
        data["error"] = {"hint": None, "last_lines": [], "node": None, "action": None} | data[
            "error"
        ]

    with pytest.raises(MultiNodeError, match="not a node's result"):
        portable.from_data(data)


@pytest.mark.parametrize("content", ["YQ=", "Y Q==", "YQ==\n", 7])
def test_attachment_that_came_damaged_is_refused(
    content: object, job_result: JobResult, rich_run: TestRun
) -> None:
    data = portable.to_data(replace(job_result.nodes[0], runs=(rich_run,)))
    data["runs"][0]["attachments"][0]["content"] = content

    with pytest.raises(MultiNodeError, match="not a node's result"):
        portable.from_data(data)


@pytest.mark.parametrize("package", [["bash"], ["bash", "5.2", "more"], "ab"])
def test_pair_that_is_none_is_refused(
    package: object, job_result: JobResult, rich_run: TestRun
) -> None:
    data = portable.to_data(replace(job_result.nodes[0], runs=(rich_run,)))
    data["runs"][0]["software"]["packages"] = [package]

    with pytest.raises(MultiNodeError, match="not a node's result"):
        portable.from_data(data)


def test_time_of_another_zone_is_the_same_moment(job_result: JobResult) -> None:
    node = job_result.nodes[0]
    there = node.started_at.astimezone(timezone(timedelta(hours=9)))

    got = portable.from_data({**portable.to_data(node), "started_at": there.isoformat()})

    assert got.started_at == node.started_at
    assert got.started_at.tzinfo is UTC


def test_result_without_attachments_is_otherwise_the_same(
    job_result: JobResult, rich_run: TestRun
) -> None:
    node = job_result.nodes[0]
    bare = tuple(replace(case, attachments=()) for case in rich_run.cases)
    assert rich_run.attachments
    assert bare != rich_run.cases

    got = portable.without_attachments(replace(node, runs=(rich_run,)))

    assert got == replace(node, runs=(replace(rich_run, attachments=(), cases=bare),))


def test_action_that_failed_for_another_reason_keeps_it(job_result: JobResult) -> None:
    failed = next(node for node in job_result.nodes if node.error is not None)
    other = TestError("another").at(node="vm1", action="lava_test_shell")
    actions = tuple(replace(action, error=other) for action in failed.actions)

    got = sent(replace(failed, actions=actions))

    assert {str(action.error) for action in got.actions} == {str(other)}
    assert sent(replace(failed, error=None, actions=actions)).error is None
