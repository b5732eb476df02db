# SPDX-License-Identifier: MIT
"""results.json keeps its keys and loses nothing of the result."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.base.errors import Canceled, JobError
from lava_vmgroup.results.model import JobResult, NodeResult, TestRun
from lava_vmgroup.results.writers import results_json


def document_of(result: JobResult) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(results_json.render(result))
    return document


def test_keys_of_the_document(job_result: JobResult) -> None:
    document = document_of(job_result)

    nodes = document.pop("nodes")
    cause = document.pop("cause")
    assert [node["name"] for node in nodes] == ["arndale01", "vm1"]
    assert cause["class"] == "DeadlineExpired"
    assert document == {
        "version": 1,
        "job": {
            "name": "group of two",
            "id": "17",
            "target_group": "e1b2",
            "tags": ["nightly"],
            "attributes": {"logging_level": "INFO", "auto_start_vms": "true"},
        },
        "started_at": "2026-03-01T09:00:00Z",
        "duration_s": 601.5,
        "exit_status": 5,
        "bundle_urls": ["http://lava.example.org/bundles/1/"],
        "uploads": [
            {"digest": "ab" * 32, "size": 4096, "bytes_sent": 1024, "used_by": ["vm1"]},
        ],
    }


def test_keys_of_a_node(job_result: JobResult) -> None:
    error = {
        "class": "DeadlineExpired",
        "message": "no login prompt within 120 s",
        "hint": "raise the timeout or look at the console log",
        "problems": [],
        "node": "vm1",
        "action": "boot_linaro_image",
        "exit_status": 5,
        "last_lines": ["Starting kernel ...", "Kernel panic - not syncing"],
    }

    assert document_of(job_result)["nodes"][1] == {
        "name": "vm1",
        "role": "client",
        "device_type": "kvm-arm",
        "is_host": False,
        "state": "Incomplete",
        "started_at": "2026-03-01T09:00:05Z",
        "duration_s": 125.0,
        "counts": {"pass": 0, "fail": 0, "skip": 0, "unknown": 0},
        "attributes": {"accelerator": "tcg"},
        "error": error,
        "skipped": None,
        "faults": [
            {
                "name": "hung-task",
                "severity": "error",
                "line": "INFO: task sh:9 blocked",
                "lines": ["before", "[  99.000000] INFO: task sh:9 blocked"],
                "test_case": "copy",
                "seen_at": "2026-03-01T09:02:00Z",
            }
        ],
        "actions": [
            {
                "command": "deploy_linaro_image",
                "started_at": "2026-03-01T09:00:05Z",
                "duration_s": 5.0,
                "error": None,
            },
            {
                "command": "boot_linaro_image",
                "started_at": "2026-03-01T09:00:10Z",
                "duration_s": 120.0,
                "error": error,
            },
        ],
        "runs": [],
    }


def test_keys_of_a_run_and_its_cases(job_result: JobResult) -> None:
    host = document_of(job_result)["nodes"][0]
    (run,) = host["runs"]

    assert host["counts"] == {"pass": 2, "fail": 1, "skip": 1, "unknown": 1}
    assert run["name"] == "smoke"
    assert run["uuid"] == "11111111-2222-3333-4444-555555555555"
    assert run["finished"] is True
    assert run["metadata"]["os"] == "debian"
    assert (run["started_at"], run["duration_s"]) == ("2026-03-01T09:02:00Z", 90.25)
    assert run["cases"][1] == {
        "name": "bandwidth",
        "set": None,
        "result": "pass",
        "measurement": "10",
        "units": "MB/s",
        "message": "over eth0",
        "reference": None,
        "recorded_at": "2026-03-01T09:02:40.500000Z",
        "attachments": [],
    }


def test_keys_of_what_a_run_found_on_its_system(
    job_result: JobResult, host: NodeResult, rich_run: TestRun
) -> None:
    result = replace(job_result, nodes=(replace(host, runs=(rich_run,)),))

    rendered = results_json.render(result)

    (run,) = json.loads(rendered)["nodes"][0]["runs"]
    assert run["attachments"] == [
        {
            "pathname": "stdout.log",
            "mime_type": "text/plain",
            "size": 11,
            "path": "arndale01/attachments/rich/stdout.log",
        }
    ]
    assert run["hardware"] == [
        {
            "device_type": "device.cpu",
            "description": "Processor #0",
            "attributes": {"cpu": "Cortex-A15"},
        }
    ]
    assert run["software"] == {
        "image": "Debian 13",
        "packages": [{"name": "bash", "version": "5.2"}],
        "sources": [
            {
                "project_name": "smoke",
                "branch_vcs": "git",
                "branch_url": "https://git.example.org/smoke",
                "branch_revision": "abc123",
                "default_params": {"SIZE": "1"},
                "test_params": {"SIZE": "2"},
            }
        ],
    }
    assert (run["cases"][0]["set"], run["cases"][0]["reference"]) == (
        "network",
        "https://example.org/1",
    )
    assert run["cases"][0]["attachments"][0]["path"] == "arndale01/attachments/rich/ping-trace.bin"
    assert "SGVsbG8" not in rendered
    assert "Hello" not in rendered


def test_unfinished_run_says_so(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun
) -> None:
    node = replace(host, runs=(replace(smoke_run, finished=False),))

    (run,) = document_of(replace(job_result, nodes=(node,)))["nodes"][0]["runs"]

    assert run["finished"] is False


def test_run_says_how_many_records_are_missing(
    job_result: JobResult, host: NodeResult, smoke_run: TestRun
) -> None:
    node = replace(host, runs=(smoke_run, replace(smoke_run, missing_records=3)))

    runs = document_of(replace(job_result, nodes=(node,)))["nodes"][0]["runs"]

    assert [run["missing_records"] for run in runs] == [0, 3]


def test_job_without_a_cause_has_null(job_result: JobResult) -> None:
    assert document_of(replace(job_result, cause=None))["cause"] is None


def test_cancel_has_the_status_of_its_signal(job_result: JobResult) -> None:
    cause = Canceled("canceled by SIGTERM", signal_number=signal.SIGTERM)

    assert document_of(replace(job_result, cause=cause))["cause"]["exit_status"] == 143


def test_every_problem_of_a_refused_job_is_told(job_result: JobResult) -> None:
    cause = JobError("refused", problems=["a: missing", "b: too long"])

    problems = document_of(replace(job_result, cause=cause))["cause"]["problems"]

    assert problems == ["a: missing", "b: too long"]


def test_times_are_utc_whatever_the_zone(job_result: JobResult) -> None:
    elsewhere = datetime(2026, 3, 1, 11, 0, tzinfo=timezone(timedelta(hours=2)))

    document = document_of(replace(job_result, started_at=elsewhere))

    assert document["started_at"] == "2026-03-01T09:00:00Z"


@given(text=st.text())
def test_any_text_survives_and_is_harmless_to_show(
    job_result: JobResult, vm: NodeResult, text: str
) -> None:
    result = replace(job_result, nodes=(replace(vm, attributes={"fact": text}),))

    rendered = results_json.render(result)

    assert json.loads(rendered)["nodes"][0]["attributes"]["fact"] == text
    assert rendered.replace("\n", "").isascii()
    assert rendered.replace("\n", "").replace("\x7f", "").isprintable()


def test_write_makes_results_json(job_result: JobResult, tmp_path: Path) -> None:
    (path,) = results_json.write(job_result, tmp_path)

    assert path == tmp_path / "results.json"
    assert path.read_text(encoding="utf-8") == results_json.render(job_result)
