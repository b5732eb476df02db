# SPDX-License-Identifier: MIT
"""LAVA's Dashboard bundle, format 1.7.1, for LAVA dashboards and their tools.

``bundle.json`` holds the whole group, ``<node>/bundle.json`` one node's part of it.  Each node
has its test runs, then a run ``lava`` with one result per action.  As in LAVA v1, the attributes of
a run name its node.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lava_vmgroup.base.text import json_text
from lava_vmgroup.results import writers
from lava_vmgroup.results.model import (
    ActionResult,
    Attachment,
    HardwareDevice,
    JobResult,
    NodeResult,
    NodeState,
    Outcome,
    SoftwareContext,
    SoftwareSource,
    TestCase,
    TestRun,
)

_FORMAT = "Dashboard Bundle Format 1.7.1"
FILE = "bundle.json"
_METADATA_KEYS = (
    "description",
    "version",
    "format",
    "location",
    "url",
    "environment",
    "os",
    "devices",
)


def write(result: JobResult, folder: Path) -> list[Path]:
    """Write the group's and the nodes' bundles below `folder`; return the paths.

    Raises `InfrastructureError` if a file cannot be written.
    """
    group = writers.replace_file(folder / FILE, render(result))
    nodes = [
        writers.replace_file(folder / node.name / FILE, render_node(result, node))
        for node in result.nodes
    ]
    return [group, *nodes]


def render(result: JobResult) -> str:
    """Return the group's bundle as JSON text."""
    runs = (run for node in result.nodes for run in _runs_of_node(result, node))
    return f"{json_text(_bundle(runs), indent=2)}\n"


def render_node(result: JobResult, node: NodeResult) -> str:
    """Return one node's part, a bundle by itself, as JSON text in one line.

    A dashboard keeps the bundles of a group in one file and reads that line by line.
    """
    return json_text(_bundle(_runs_of_node(result, node)))


def _bundle(test_runs: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"format": _FORMAT, "test_runs": list(test_runs)}


def _runs_of_node(result: JobResult, node: NodeResult) -> list[dict[str, Any]]:
    attributes = _attributes(result, node)
    runs = [
        {**_test_run(run), "attributes": {**attributes, **_attributes_of_run(run)}}
        for run in node.runs
    ]
    return [*runs, {**_lava_run(result, node), "attributes": attributes}]


def _attributes_of_run(run: TestRun) -> dict[str, str]:
    return {"missing_records": str(run.missing_records)} if run.missing_records else {}


def _attributes(result: JobResult, node: NodeResult) -> dict[str, str]:
    """Return the attributes that v1 gives to every run of a node, as strings for the dashboard."""
    facts = {
        "target": node.name,
        "target.hostname": node.name,
        "target.device_type": node.device_type,
        "role": node.role,
        "is_vmhost": "true" if node.is_host else "false",
        "target_group": result.target_group,
        "group_size": str(result.group_size),
        **result.attributes,
    }
    return {**{key: str(value) for key, value in node.attributes.items()}, **facts}


def _test_run(run: TestRun) -> dict[str, Any]:
    entry = {
        "analyzer_assigned_uuid": run.uuid,
        "analyzer_assigned_date": _date(run.started_at),
        "time_check_performed": False,
        "test_id": run.name,
        "test_duration": _duration(run.duration_s),
        "test_results": [_test_result(case) for case in run.cases],
    }
    metadata = {key: run.metadata.get(key) for key in _METADATA_KEYS}
    # The dashboard refuses a whole bundle if one of the eight keys is missing or null.
    if all(isinstance(value, str) for value in metadata.values()):
        entry["testdef_metadata"] = metadata
    if run.attachments:
        entry["attachments"] = [_attachment(one) for one in run.attachments]
    if run.hardware:
        entry["hardware_context"] = {"devices": [_device(one) for one in run.hardware]}
    if software := _software(run.software):
        entry["software_context"] = software
    return entry


def _attachment(attachment: Attachment) -> dict[str, str]:
    return {
        "pathname": attachment.pathname,
        "mime_type": attachment.mime_type,
        "content": base64.b64encode(attachment.content).decode(),
    }


def _device(device: HardwareDevice) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "device_type": device.device_type,
        "description": device.description,
    }
    if device.attributes:
        entry["attributes"] = dict(device.attributes)
    return entry


def _software(software: SoftwareContext) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if software.image is not None:
        entry["image"] = {"name": software.image}
    if software.packages:
        entry["packages"] = [
            {"name": name, "version": version} for name, version in software.packages
        ]
    if software.sources:
        entry["sources"] = [_source(source) for source in software.sources]
    return entry


def _source(source: SoftwareSource) -> dict[str, str]:
    entry = {
        "project_name": source.project_name,
        "branch_vcs": source.branch_vcs,
        "branch_url": source.branch_url,
        "branch_revision": source.branch_revision,
    }
    if source.default_params:
        entry["default_params"] = json_text(dict(source.default_params))
    if source.test_params:
        entry["test_params"] = json_text(dict(source.test_params))
    return entry


def _test_result(case: TestCase) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "test_case_id": case.name,
        "result": case.outcome.value,
        "timestamp": _date(case.recorded_at),
    }
    if case.message is not None:
        entry["message"] = case.message
    if case.measurement is not None:
        entry["measurement"] = str(case.measurement)
        # The dashboard refuses units without a measurement.
        if case.units is not None:
            entry["units"] = case.units
    # The format has no keys for these two, but it allows any attributes.
    more = {"test_set": case.test_set, "reference": case.reference}
    if given := {name: value for name, value in more.items() if value is not None}:
        entry["attributes"] = given
    if case.attachments:
        entry["attachments"] = [_attachment(one) for one in case.attachments]
    return entry


def _lava_run(result: JobResult, node: NodeResult) -> dict[str, Any]:
    """Return the run in which LAVA reports on itself, always the last run of a node."""
    # A bundle is made before it is submitted, so it cannot hold the result of that.
    actions = [one for one in node.actions if not one.command.startswith("submit_results")]
    # Derived and not random, so that writing one result twice gives the same file.
    name = f"{result.job_id} {result.target_group} {node.name} {node.started_at.isoformat()}"
    return {
        "analyzer_assigned_uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "analyzer_assigned_date": _date(node.started_at),
        "time_check_performed": False,
        "test_id": "lava",
        "tags": list(result.tags),
        "test_duration": _duration(node.duration_s),
        "test_results": [*map(_action_result, actions), _job_complete(node)],
    }


def _action_result(action: ActionResult) -> dict[str, str]:
    entry = {
        "test_case_id": action.command,
        "result": Outcome.PASS.value,
        "timestamp": _date(action.started_at),
        "duration": _duration(action.duration_s),
    }
    if action.error is not None:
        entry["result"] = Outcome.FAIL.value
        entry["message"] = (
            f"Lava failed at action {action.command} with error:{action.error.message}"
        )
    return entry


def _job_complete(node: NodeResult) -> dict[str, str]:
    entry = {"test_case_id": "job_complete", "result": Outcome.PASS.value}
    if node.state is NodeState.SKIPPED:
        entry["result"] = Outcome.SKIP.value
    elif node.state is not NodeState.COMPLETE:
        entry["result"] = Outcome.FAIL.value
    if node.skipped is not None:
        entry["message"] = node.skipped
    if node.error is not None:
        entry["message"] = node.error.describe()
    return entry


def _date(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: float) -> str:
    span = timedelta(seconds=seconds)
    return f"{span.days}d {span.seconds}s {span.microseconds}us"
