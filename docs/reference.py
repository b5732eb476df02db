# SPDX-License-Identifier: MIT
"""Writes ``job-keys.rst`` and ``sub-job-keys.rst``, what the schemas say of jobs and sub-jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

from lava_vmgroup.job import schema, sub_job

_HEAD = """\
.. Written by ``python docs/reference.py`` from what ``lava_vmgroup/job/{module}.py`` says.
"""
_KINDS = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "object": "object",
    "string": "string",
}
_WIDTH = 96


def pages() -> dict[str, str]:
    """The files with their content, reStructuredText."""
    more = sub_job.SUB_JOB_SCHEMA["properties"].keys() - schema.JOB_SCHEMA["properties"].keys()
    keys = {
        **sub_job.SUB_JOB_SCHEMA,
        "properties": {
            name: value
            for name, value in sub_job.SUB_JOB_SCHEMA["properties"].items()
            if name in more
        },
    }
    sub_job_keys = "\n".join([_HEAD.format(module="sub_job"), *_keys(keys)])
    return {"job-keys.rst": _job_keys(), "sub-job-keys.rst": sub_job_keys + "\n"}


def _job_keys() -> str:
    sections = {
        "Top level": schema.JOB_SCHEMA,
        "vm_group": schema.VM_GROUP_SCHEMA,
        "vm_group.host": schema.HOST_SCHEMA,
        "vm_group.vms": schema.VM_SCHEMA,
        "actions": schema.ACTION_SCHEMA,
        "console_watch": schema.WATCH_SCHEMA,
        "console_watch.patterns": schema.WATCH_PATTERN_SCHEMA,
        "Parameters of every action": {"properties": schema.ACTION_PARAMETERS},
    }
    lines = [_HEAD.format(module="schema")]
    for title, part in sections.items():
        lines += [title, "~" * len(title), "", *_keys(part), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _keys(part: Mapping[str, Any]) -> Iterator[str]:
    for name, value in part["properties"].items():
        facts = [_kind(value)]
        if name in part.get("required", ()):
            facts.append("mandatory")
        if "default" in value:
            facts.append(f"{_shown(value['default'])} by default")
        yield f"``{name}`` ({', '.join(filter(None, facts))})"
        yield from (f"    {line}" for line in wrap(value["description"], _WIDTH))


def _kind(value: Mapping[str, Any]) -> str:
    if "enum" in value:
        return ", ".join(f"``{choice}``" for choice in value["enum"])
    if "anyOf" in value:
        return " or ".join(_kind(one) for one in value["anyOf"])
    if "type" not in value:
        return "string" if "const" not in value else _shown(value["const"])
    kind = value["type"]
    kinds = [_KINDS[one] for one in ([kind] if isinstance(kind, str) else kind)]
    low, high = value.get("minimum"), value.get("maximum")
    limits = f" from {low} to {high}" if low is not None and high is not None else ""
    return " or ".join(kinds) + limits


def _shown(value: Any) -> str:
    return f"``{str(value).lower() if isinstance(value, bool) else value}``"


if __name__ == "__main__":
    for page, content in pages().items():
        (Path(__file__).parent / page).write_text(content, encoding="utf-8")
