# SPDX-License-Identifier: MIT
"""From a job's plain data to a checked `Job`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lava_vmgroup.base.console_faults import Fault, FaultPlace, FaultSeverity
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.job.model import (
    Action,
    ConsoleWatch,
    HostEntry,
    Job,
    JobSettings,
    RequiresPolicy,
    VMEntry,
    WantedAccelerator,
)
from lava_vmgroup.job.problems import problems
from lava_vmgroup.job.requires import parse_requirements
from lava_vmgroup.job.schema import OBSOLETE_KEYS


def parse_job(
    document: Any, folder: Path, parameter_schemas: Mapping[str, Mapping[str, Any]]
) -> Job:
    """Check `document` and return it as a `Job`.

    `folder` is the folder for relative paths in the job; `parameter_schemas` holds the schema of
    each known command's parameters.  Raises `JobError` with a list of the problems.
    """
    found = problems(document, parameter_schemas)
    if found:
        raise JobError("the job is not valid", problems=found)
    vm_group = document["vm_group"]
    return Job(
        settings=parse_settings(document, folder),
        host=HostEntry(**{**vm_group["host"], **parse_wishes(vm_group["host"])}),
        vms=tuple(_vm(entry) for entry in vm_group["vms"]),
        auto_start_vms=vm_group.get("auto_start_vms", True),
        actions=parse_actions(document["actions"]),
    )


def parse_settings(document: Mapping[str, Any], folder: Path) -> JobSettings:
    """Return the settings of a checked job or sub-job; `folder` is as for `parse_job`."""
    return JobSettings(
        name=document.get("job_name", "LAVA Results"),
        timeout_s=document["timeout"],
        logging_level=document.get("logging_level", "INFO"),
        tags=tuple(document.get("tags", ())),
        console_watch=_console_watch(document.get("console_watch", {})),
        obsolete=tuple(key for key in OBSOLETE_KEYS if key in document),
        folder=folder,
    )


def parse_launch_with(commands: str | list[str]) -> tuple[str, ...]:
    """Return one command or several as a sequence."""
    return (commands,) if isinstance(commands, str) else tuple(commands)


def parse_wishes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``requires``, ``requires_policy`` and ``accelerator`` of a checked entry as values.

    Keys that are not in `entry` are left out.
    """
    makers = {
        "requires": parse_requirements,
        "requires_policy": RequiresPolicy,
        "accelerator": WantedAccelerator,
    }
    return {key: make(entry[key]) for key, make in makers.items() if key in entry}


def _console_watch(entry: Mapping[str, Any]) -> ConsoleWatch:
    return ConsoleWatch(
        silence_s=entry.get("silence"),
        ignore=tuple(entry.get("ignore", ())),
        patterns=tuple(
            Fault(
                name=own["name"],
                severity=FaultSeverity(own.get("severity", FaultSeverity.FATAL.value)),
                pattern=own["pattern"],
                place=FaultPlace.ANYWHERE,
            )
            for own in entry.get("patterns", ())
        ),
    )


def _vm(entry: Mapping[str, Any]) -> VMEntry:
    fields = {key: value for key, value in entry.items() if key != "tags"}
    launch_with = parse_launch_with(fields.pop("launch_with", []))
    return VMEntry(**{**fields, **parse_wishes(entry), "launch_with": launch_with})


def parse_actions(entries: list[Mapping[str, Any]]) -> tuple[Action, ...]:
    """Return the actions of a checked job or sub-job."""
    actions = []
    for index, entry in enumerate(entries):
        parameters = dict(entry.get("parameters", {}))
        actions.append(
            Action(
                command=entry["command"],
                role=parameters.pop("role", None),
                repeat=parameters.pop("repeat", 1),
                parameters=parameters,
                metadata=_metadata(entry.get("metadata", {})),
                place=f"actions[{index}]",
            )
        )
    return tuple(actions)


def _metadata(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata as attributes of results, which are strings: other values become JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }
