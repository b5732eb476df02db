# SPDX-License-Identifier: MIT
"""Writes ``job-keys.rst``, the part of the job's reference that the schema says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

from lava_vmgroup.job import schema

TARGET = Path(__file__).parent / "job-keys.rst"

_HEAD = """\
.. Written by ``python docs/reference.py`` from what ``lava_vmgroup/job/schema.py`` says.
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


def render() -> str:
    """The reference as reStructuredText."""
    sections = {
        "Top level": schema.JOB_SCHEMA,
        "vm_group": schema.VM_GROUP_SCHEMA,
        "vm_group.host": schema.HOST_SCHEMA,
        "vm_group.vms": schema.VM_SCHEMA,
        "actions": schema.ACTION_SCHEMA,
        "Parameters of every action": {"properties": schema.ACTION_PARAMETERS},
    }
    lines = [_HEAD]
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
    TARGET.write_text(render(), encoding="utf-8")
