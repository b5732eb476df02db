# SPDX-License-Identifier: MIT
"""The rules for test definitions that the schema cannot express."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.user_pattern import pattern_problem
from lava_vmgroup.testdefs.quoting import bare, leaves_quote_open, needs_another_command
from lava_vmgroup.testdefs.source import parameter_problems, parse_source, path_problem


def other_problems(content: Any, *, fits: bool) -> Iterator[str]:
    """Yield the other problems of a definition, each after its place.

    If the definition does not fit the schema, only what can be said of it all the same is checked.
    """
    if not isinstance(content, dict):
        return
    yield from _params_problems(content)
    for name in ("install", "run"):
        yield from _steps_problems(name, section(content, name).get("steps"))
    pattern = section(content, "parse").get("pattern")
    problem = pattern_problem(pattern, without_result=True) if isinstance(pattern, str) else None
    if problem:
        yield f"parse.pattern: {problem}"
    if fits:
        yield from _source_problems(content)


def section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a mapping of the definition; empty if it is absent, or no mapping.

    The schema reports the latter.
    """
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _params_problems(content: Mapping[str, Any]) -> Iterator[str]:
    for name in ("params", "parameters"):
        for problem in parameter_problems(section(content, name)):
            yield f"{name}.{problem}"
    if "params" in content and "parameters" in content:
        yield "parameters: another word for params; give one of the two"


def _steps_problems(name: str, steps: Any) -> Iterator[str]:
    """Yield the problems of the steps that a shell would not run as they stand."""
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        where = f"{name}.steps[{index}]"
        if not isinstance(step, str):
            continue
        if "\0" in step:
            yield f"{where}: it has a NUL character, which no shell can take"
        if leaves_quote_open(step):
            yield (
                f"{where}: it leaves a quote open, by which the shell takes the next step for a "
                "part of it; write both as one step, or escape the quote"
            )
    yield from _end_problems(name, steps)


def _end_problems(name: str, steps: Any) -> Iterator[str]:
    """Yield a problem if the last step that is no comment ends in the midst of a command."""
    for index, step in reversed(list(enumerate(steps if isinstance(steps, list) else ()))):
        if not isinstance(step, str) or not bare(step).strip():
            continue
        if operator := needs_another_command(step):
            yield (
                f"{name}.steps[{index}]: it ends with {operator}, and no command follows; remove "
                f"the {operator}, or add the command"
            )
        return


def _source_problems(content: Mapping[str, Any]) -> Iterator[str]:
    for index, entry in enumerate(section(content, "install").get("git-repos", ())):
        destination = entry.get("destination") if isinstance(entry, dict) else None
        if destination and (problem := path_problem(destination)):
            yield f"install.git-repos[{index}].destination: {problem}"
    for index, entry in enumerate(content.get("test-case-deps", ())):
        try:
            parse_source(entry)
        except JobError as error:
            for problem in error.problems:
                yield f"test-case-deps[{index}]: {problem}"
