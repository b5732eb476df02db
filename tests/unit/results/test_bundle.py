# SPDX-License-Identifier: MIT
"""The bundle is one that a LAVA dashboard takes, and says what LAVA v1 would have said."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.results.model import (
    ActionResult,
    JobResult,
    NodeResult,
    Outcome,
    TestCase,
    TestRun,
)
from lava_vmgroup.results.writers import bundle
from tests.support.bundles import SCHEMA, VALIDATOR, bundle_of

MOMENT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def with_run(result: JobResult, run: TestRun) -> JobResult:
    host, *others = result.nodes
    return replace(result, nodes=(replace(host, runs=(run,)), *others))


def with_case(result: JobResult, case: TestCase) -> JobResult:
    return with_run(result, replace(result.nodes[0].runs[0], cases=(case,)))


def first_result(result: JobResult) -> dict[str, Any]:
    found: dict[str, Any] = bundle_of(result)["test_runs"][0]["test_results"][0]
    return found


def test_schema_is_a_schema_and_refuses_what_a_dashboard_refuses() -> None:
    VALIDATOR.check_schema(SCHEMA)
    run = {
        "analyzer_assigned_uuid": "1",
        "analyzer_assigned_date": "2026-03-01T09:00:00Z",
        "time_check_performed": False,
        "test_id": "t",
        "test_results": [],
    }
    refused: list[dict[str, Any]] = [
        {**run, "analyzer_assigned_date": "2026-03-01T09:00:00+00:00"},
        {**run, "test_duration": "1.5s"},
        {**run, "attributes": {"group_size": 3}},
        {**run, "test_results": [{"result": "pass", "measurement": "1"}]},
        {**run, "test_results": [{"result": "pass", "test_case_id": "a", "measurement": 1}]},
        {**run, "test_results": [{"result": "pass", "test_case_id": "a", "units": "s"}]},
        {**run, "testdef_metadata": {"description": "only this"}},
        {**run, "extra": ""},
    ]

    good = VALIDATOR.is_valid({"format": bundle._FORMAT, "test_runs": [run]})
    bad = [VALIDATOR.is_valid({"format": bundle._FORMAT, "test_runs": [r]}) for r in refused]

    assert good
    assert bad == [False] * len(refused)


def test_each_node_gives_its_runs_and_then_lavas_own(job_result: JobResult) -> None:
    runs = bundle_of(job_result)["test_runs"]

    names = [(run["attributes"]["target"], run["test_id"]) for run in runs]
    assert names == [("arndale01", "smoke"), ("arndale01", "lava"), ("vm1", "lava")]


def test_test_run_says_what_the_test_recorded(job_result: JobResult) -> None:
    run = bundle_of(job_result)["test_runs"][0]

    assert run["analyzer_assigned_uuid"] == "11111111-2222-3333-4444-555555555555"
    assert run["analyzer_assigned_date"] == "2026-03-01T09:02:00Z"
    assert run["test_duration"] == "0d 90s 250000us"
    assert [case["result"] for case in run["test_results"]] == [
        "pass",
        "pass",
        "fail",
        "skip",
        "unknown",
    ]
    assert run["test_results"][1] == {
        "test_case_id": "bandwidth",
        "result": "pass",
        "timestamp": "2026-03-01T09:02:40Z",
        "message": "over eth0",
        "measurement": "10",
        "units": "MB/s",
    }


def test_attributes_are_node_facts_by_v1_names_on_every_run(job_result: JobResult) -> None:
    _, host_lava, vm_lava = bundle_of(job_result)["test_runs"]

    assert host_lava["attributes"] == {
        "target": "arndale01",
        "target.hostname": "arndale01",
        "target.device_type": "arndale",
        "role": "host",
        "is_vmhost": "true",
        "target_group": "e1b2",
        "group_size": "2",
        "host_ip": "10.0.0.5",
        "logging_level": "INFO",
        "auto_start_vms": "true",
    }
    assert vm_lava["attributes"]["is_vmhost"] == "false"
    assert vm_lava["attributes"]["accelerator"] == "tcg"


def test_measurement_is_a_string_even_for_round_numbers(job_result: JobResult) -> None:
    number: Any = 10  # a careless caller's
    case = TestCase(name="a", outcome=Outcome.PASS, measurement=number, recorded_at=MOMENT)

    assert first_result(with_case(job_result, case))["measurement"] == "10"


def test_units_without_a_measurement_are_left_out(job_result: JobResult) -> None:
    case = TestCase(name="a", outcome=Outcome.PASS, units="s", recorded_at=MOMENT)

    assert "units" not in first_result(with_case(job_result, case))


def test_absent_message_and_measurement_are_absent(job_result: JobResult) -> None:
    case = TestCase(name="a", outcome=Outcome.PASS, recorded_at=MOMENT)

    assert first_result(with_case(job_result, case)).keys() == {
        "test_case_id",
        "result",
        "timestamp",
    }


def test_complete_testdef_metadata_is_passed_on(job_result: JobResult) -> None:
    metadata = bundle_of(job_result)["test_runs"][0]["testdef_metadata"]

    assert metadata == job_result.nodes[0].runs[0].metadata


@pytest.mark.parametrize("key", bundle._METADATA_KEYS)
def test_testdef_metadata_is_left_out_when_a_key_is_missing_or_null(
    job_result: JobResult, smoke_run: TestRun, key: str
) -> None:
    without = {name: text for name, text in smoke_run.metadata.items() if name != key}
    null: Any = {**without, key: None}

    for metadata in (without, null):
        document = bundle_of(with_run(job_result, replace(smoke_run, metadata=metadata)))

        assert "testdef_metadata" not in document["test_runs"][0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0d 0s 0us"),
        (60.0, "0d 60s 0us"),
        (1.5, "0d 1s 500000us"),
        (2 * 86400 + 3.000001, "2d 3s 1us"),
    ],
)
def test_durations_are_days_seconds_microseconds(
    job_result: JobResult, smoke_run: TestRun, seconds: float, text: str
) -> None:
    document = bundle_of(with_run(job_result, replace(smoke_run, duration_s=seconds)))

    assert document["test_runs"][0]["test_duration"] == text


def test_dates_are_utc_whatever_the_zone(job_result: JobResult, smoke_run: TestRun) -> None:
    elsewhere = datetime(2026, 3, 1, 11, 2, 0, 999999, tzinfo=timezone(timedelta(hours=2)))

    document = bundle_of(with_run(job_result, replace(smoke_run, started_at=elsewhere)))

    assert document["test_runs"][0]["analyzer_assigned_date"] == "2026-03-01T09:02:00Z"


def test_run_says_how_many_records_are_missing(job_result: JobResult, smoke_run: TestRun) -> None:
    run, *others = bundle_of(with_run(job_result, replace(smoke_run, missing_records=3)))[
        "test_runs"
    ]

    assert run["attributes"]["missing_records"] == "3"
    assert all("missing_records" not in other["attributes"] for other in others)


@given(text=st.text())
def test_bundle_is_valid_for_any_text(job_result: JobResult, text: str) -> None:
    case = TestCase(
        name=text,
        outcome=Outcome.FAIL,
        measurement=text,
        units=text,
        message=text,
        recorded_at=MOMENT,
    )

    assert first_result(with_case(job_result, case))["message"] == text


def test_job_without_nodes_is_a_valid_bundle(job_result: JobResult) -> None:
    assert bundle_of(replace(job_result, nodes=()))["test_runs"] == []


def test_write_makes_bundle_json(job_result: JobResult, tmp_path: Path) -> None:
    group, *nodes = bundle.write(job_result, tmp_path)

    assert group == tmp_path / "bundle.json"
    assert group.read_text(encoding="utf-8") == bundle.render(job_result)
    assert nodes == [tmp_path / name / "bundle.json" for name in ("arndale01", "vm1")]


def test_bundle_of_a_node_is_its_part_of_the_groups(job_result: JobResult) -> None:
    parts = [json.loads(bundle.render_node(job_result, node)) for node in job_result.nodes]

    for part in parts:
        VALIDATOR.validate(part)
    together = [run for part in parts for run in part["test_runs"]]
    assert together == bundle_of(job_result)["test_runs"]


def test_run_says_what_it_found_on_its_system(job_result: JobResult, rich_run: TestRun) -> None:
    run = bundle_of(with_run(job_result, rich_run))["test_runs"][0]

    assert run["attachments"] == [
        {
            "pathname": "stdout.log",
            "mime_type": "text/plain",
            "content": base64.b64encode(b"Hello world").decode(),
        }
    ]
    assert run["hardware_context"] == {
        "devices": [
            {
                "device_type": "device.cpu",
                "description": "Processor #0",
                "attributes": {"cpu": "Cortex-A15"},
            }
        ]
    }
    software = run["software_context"]
    assert software["image"] == {"name": "Debian 13"}
    assert software["packages"] == [{"name": "bash", "version": "5.2"}]
    assert software["sources"] == [
        {
            "project_name": "smoke",
            "branch_vcs": "git",
            "branch_url": "https://git.example.org/smoke",
            "branch_revision": "abc123",
            "default_params": '{"SIZE": "1"}',
            "test_params": '{"SIZE": "2"}',
        }
    ]


def test_set_reference_and_attachment_of_a_test_case(
    job_result: JobResult, rich_run: TestRun
) -> None:
    case = first_result(with_run(job_result, rich_run))

    assert case["attributes"] == {"test_set": "network", "reference": "https://example.org/1"}
    assert base64.b64decode(case["attachments"][0]["content"]) == b"\0\xff"


def test_facts_stand_above_what_the_job_calls_the_same(
    job_result: JobResult, vm: NodeResult
) -> None:
    liar = replace(vm, attributes={"role": "host", "branch": "main"})

    attributes = bundle_of(replace(job_result, nodes=(liar,)))["test_runs"][0]["attributes"]

    assert (attributes["role"], attributes["branch"]) == ("client", "main")


def test_submission_is_not_in_the_bundle_that_it_submits(
    job_result: JobResult, vm: NodeResult
) -> None:
    sent = ActionResult(command="submit_results", started_at=MOMENT, duration_s=1.0)
    after = replace(job_result, nodes=(replace(vm, actions=(*vm.actions, sent)),))

    assert bundle.render_node(after, after.nodes[0]) == bundle.render_node(
        after, replace(vm, actions=vm.actions)
    )


def test_write_names_the_file_it_cannot_write(job_result: JobResult, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").mkdir()

    with pytest.raises(InfrastructureError, match=r"bundle\.json"):
        bundle.write(job_result, tmp_path)
