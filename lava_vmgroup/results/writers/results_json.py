# SPDX-License-Identifier: MIT
"""The whole result for programs: ``results.json``, with keys that do not change.

Version 1 has the keys below.  Times are ISO 8601 in UTC, durations are seconds, unknown values are
null.  Strings are as the test or the console wrote them.  A byte in them that is no text becomes
U+FFFD, or a backslash and its number, ``\\xe4``::

    version          1; a reader must refuse a number that it does not know
    job              name, id, target_group, tags[], attributes
    started_at, duration_s
    exit_status      the exit status of lava-dispatch
    cause            the error to report first, or null
    nodes[]          host first: name, role, device_type, is_host, state (Complete, Incomplete,
                     Canceled, Skipped), started_at, duration_s, counts (pass, fail, skip, unknown),
                     attributes, error (or null), skipped (the reason, or null), faults[],
                     actions[], runs[]
      attributes     of a VM that was run: accelerator (kvm, tcg, or unknown with the reason in
                     brackets); if it was emulated: emulated (true), why_not_kvm (the reason)
      faults[]       on the console: name, severity (fatal, error, note), line, lines[], test_case
                     (or null), seen_at
      actions[]      command, started_at, duration_s, error (or null)
      runs[]         name, uuid, started_at, duration_s, finished, missing_records, metadata,
                     attachments[], hardware[], software, cases[]
        hardware[]   device_type, description, attributes
        software     image, packages[] (name, version), sources[]
          sources[]  project_name, branch_vcs, branch_url, branch_revision, default_params,
                     test_params
        cases[]      name, set, result (pass, fail, skip, unknown), measurement, units, message,
                     reference, recorded_at, attachments[]
    bundle_urls[]    the URLs of submitted results
    uploads[]        digest (SHA-256), size, bytes_sent, used_by[] (names of nodes)

An attachment has: pathname (as the test named it), mime_type, size (bytes), path (of the file with
its content, relative to this file's folder).

An error has: class, message, hint, problems[], node, action, exit_status, last_lines[].
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lava_vmgroup.base.console_faults import SeenFault
from lava_vmgroup.base.errors import Canceled, JobError, VMGroupError
from lava_vmgroup.base.text import json_text
from lava_vmgroup.results import writers
from lava_vmgroup.results.attachments import Placed, PlacedRun, placed_runs
from lava_vmgroup.results.model import (
    ActionResult,
    HardwareDevice,
    JobResult,
    NodeResult,
    Outcome,
    SoftwareContext,
    TestCase,
    Upload,
)

FILE = "results.json"
_VERSION = 1


def write(result: JobResult, folder: Path) -> list[Path]:
    """Write ``results.json`` to `folder`; return its path.

    Raises `InfrastructureError` if the file cannot be written.
    """
    return [writers.replace_file(folder / FILE, render(result))]


def render(result: JobResult) -> str:
    """Return the result as JSON text in ASCII, so that the file is harmless on a terminal."""
    document = {
        "version": _VERSION,
        "job": {
            "name": result.job_name,
            "id": result.job_id,
            "target_group": result.target_group,
            "tags": list(result.tags),
            "attributes": dict(result.attributes),
        },
        "started_at": _time(result.started_at),
        "duration_s": result.duration_s,
        "exit_status": result.exit_status,
        "cause": _error(result.cause),
        "nodes": [_node(node) for node in result.nodes],
        "bundle_urls": list(result.bundle_urls),
        "uploads": [_upload(upload) for upload in result.uploads],
    }
    return json_text(document, indent=2) + "\n"


def _node(node: NodeResult) -> dict[str, Any]:
    return {
        "name": node.name,
        "role": node.role,
        "device_type": node.device_type,
        "is_host": node.is_host,
        "state": node.state.value,
        "started_at": _time(node.started_at),
        "duration_s": node.duration_s,
        "counts": {outcome.value: node.count(outcome) for outcome in Outcome},
        "attributes": dict(node.attributes),
        "error": _error(node.error),
        "skipped": node.skipped,
        "faults": [_fault(fault) for fault in node.faults],
        "actions": [_action(action) for action in node.actions],
        "runs": [_run(placed) for placed in placed_runs(node)],
    }


def _fault(fault: SeenFault) -> dict[str, Any]:
    return {
        "name": fault.name,
        "severity": fault.severity.value,
        "line": fault.line,
        "lines": list(fault.lines),
        "test_case": fault.test_case,
        "seen_at": _time(fault.seen_at),
    }


def _action(action: ActionResult) -> dict[str, Any]:
    return {
        "command": action.command,
        "started_at": _time(action.started_at),
        "duration_s": action.duration_s,
        "error": _error(action.error),
    }


def _run(placed: PlacedRun) -> dict[str, Any]:
    run = placed.run
    return {
        "name": run.name,
        "uuid": run.uuid,
        "started_at": _time(run.started_at),
        "duration_s": run.duration_s,
        "finished": run.finished,
        "missing_records": run.missing_records,
        "metadata": dict(run.metadata),
        "attachments": [_attachment(one) for one in placed.attachments],
        "hardware": [_device(device) for device in run.hardware],
        "software": _software(run.software),
        "cases": [
            _case(case, attachments)
            for case, attachments in zip(run.cases, placed.cases, strict=True)
        ],
    }


def _device(device: HardwareDevice) -> dict[str, Any]:
    return {
        "device_type": device.device_type,
        "description": device.description,
        "attributes": dict(device.attributes),
    }


def _software(software: SoftwareContext) -> dict[str, Any]:
    return {
        "image": software.image,
        "packages": [{"name": name, "version": version} for name, version in software.packages],
        "sources": [
            {
                "project_name": source.project_name,
                "branch_vcs": source.branch_vcs,
                "branch_url": source.branch_url,
                "branch_revision": source.branch_revision,
                "default_params": dict(source.default_params),
                "test_params": dict(source.test_params),
            }
            for source in software.sources
        ],
    }


def _attachment(placed: Placed) -> dict[str, Any]:
    return {
        "pathname": placed.attachment.pathname,
        "mime_type": placed.attachment.mime_type,
        "size": len(placed.attachment.content),
        "path": placed.path,
    }


def _case(case: TestCase, attachments: Sequence[Placed]) -> dict[str, Any]:
    return {
        "name": case.name,
        "set": case.test_set,
        "result": case.outcome.value,
        "measurement": case.measurement,
        "units": case.units,
        "message": case.message,
        "reference": case.reference,
        "recorded_at": _time(case.recorded_at),
        "attachments": [_attachment(one) for one in attachments],
    }


def _upload(upload: Upload) -> dict[str, Any]:
    return {
        "digest": upload.digest,
        "size": upload.size,
        "bytes_sent": upload.bytes_sent,
        "used_by": list(upload.used_by),
    }


def _error(error: VMGroupError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "class": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "problems": list(error.problems) if isinstance(error, JobError) else [],
        "node": error.node,
        "action": error.action,
        "exit_status": error.status if isinstance(error, Canceled) else error.exit_status,
        "last_lines": list(error.last_lines),
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
