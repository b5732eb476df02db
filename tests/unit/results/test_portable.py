# SPDX-License-Identifier: MIT
"""A node's result reaches another process whole, and nothing that is no result does."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.errors import Canceled, JobError, MultiNodeError, TestError
from lava_vmgroup.results import portable
from lava_vmgroup.results.model import JobResult, NodeResult


def sent(result: NodeResult) -> NodeResult:
    return portable.from_data(json.loads(json.dumps(portable.to_data(result))))


def plain(result: NodeResult) -> Any:
    """The result in a form in which errors can be compared."""
    return portable.to_data(result)


def test_every_part_of_a_result_arrives(job_result: JobResult) -> None:
    for node in job_result.nodes:
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
        {"duration_s": float("nan")},
        {"duration_s": float("inf")},
        {"duration_s": 10**400},
        {"started_at": "2026-03-01T09:00:00"},
        {"started_at": "0001-01-01T00:00:00+14:00"},
        {"error": {"class": "Canceled", "message": "", "signal_number": 10**9}},
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
