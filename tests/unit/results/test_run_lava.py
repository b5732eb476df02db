# SPDX-License-Identifier: MIT
"""The run 'lava' of each node: its actions, its end and the job's tags."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lava_vmgroup.results.model import (
    JobResult,
    NodeResult,
    NodeState,
)
from tests.support.bundles import bundle_of


def test_run_lava_has_one_result_per_action_and_job_complete(job_result: JobResult) -> None:
    results = bundle_of(job_result)["test_runs"][2]["test_results"]

    assert [(case["test_case_id"], case["result"]) for case in results] == [
        ("deploy_linaro_image", "pass"),
        ("boot_linaro_image", "fail"),
        ("job_complete", "fail"),
    ]
    assert results[1]["message"] == (
        "Lava failed at action boot_linaro_image with error:no login prompt within 120 s"
    )
    assert results[1]["duration"] == "0d 120s 0us"
    assert "no login prompt within 120 s" in results[2]["message"]


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (NodeState.COMPLETE, "pass"),
        (NodeState.INCOMPLETE, "fail"),
        (NodeState.CANCELED, "fail"),
    ],
)
def test_job_complete_passes_only_for_a_complete_node(
    job_result: JobResult, vm: NodeResult, state: NodeState, result: str
) -> None:
    group = replace(job_result, nodes=(replace(vm, state=state, error=None),))

    last = bundle_of(group)["test_runs"][-1]["test_results"][-1]

    assert (last["test_case_id"], last["result"]) == ("job_complete", result)


def test_runs_lava_have_uuids_of_their_own_that_stay(job_result: JobResult) -> None:
    once = [run["analyzer_assigned_uuid"] for run in bundle_of(job_result)["test_runs"]]
    again = [run["analyzer_assigned_uuid"] for run in bundle_of(job_result)["test_runs"]]

    assert once == again
    assert len(set(once)) == 3


def test_run_lava_has_the_jobs_tags(job_result: JobResult) -> None:
    tags = [run.get("tags") for run in bundle_of(job_result)["test_runs"]]

    assert tags == [None, ["nightly"], ["nightly"]]


def test_skipped_node_is_skipped_with_its_reason(job_result: JobResult, vm: NodeResult) -> None:
    skipped = replace(vm, state=NodeState.SKIPPED, skipped="no room", error=None)

    document = bundle_of(replace(job_result, nodes=(skipped,)))

    complete = document["test_runs"][-1]["test_results"][-1]
    assert (complete["result"], complete["message"]) == ("skip", "no room")
