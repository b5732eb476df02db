# SPDX-License-Identifier: MIT
"""A test's install.sh and run.sh: its parameters and steps as shell scripts."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testdefs.quoting import bare, quotes

_OPENEMBEDDED = "oe | openembedded* | poky* | nodistro*"

_LEAVING = re.compile(
    r"""(?:^|(?<=[\n;&|{]) | \b(?:then|else)\b)[ \t]*
    (?P<command>
        (?:exit|exec)\b
        (?:[^\n;&|"'`(){}\\\#] | "[^"]*" | '[^']*' | \\[\s\S] | >& | &>
         | \$[#] | \$[{][^{}\n]*[}] | \$[(][^()\n]*[)])*
    )
    (?P<rest>(?:[\s;]*(?:\bfi\b|[}]))*[\s;]*(?:\#[^\n]*)?\s*)$""",
    re.VERBOSE,
)
"""An ``exit`` or ``exec`` at the end of a step: only ``fi``, ``}`` or a comment may follow."""

_COMMAND_FOR_HELPER = re.compile(r"--(?:shell|cmd)(?=[\s=])(?:[^\n;&|]|(?<=[<>])&|&(?=>))*")
"""The words after ``--shell`` or ``--cmd``, up to the end of the helper's command."""

_SETS_ARGUMENTS = re.compile(r"[\w-]\s*\(\)|\bfunction\s+\w|\bset\s+--?(?=\s)")


class SkipInstall(enum.Enum):
    """The part of ``install`` that a job leaves out."""

    ALL = "all"
    DEPS = "deps"
    REPOS = "repos"
    STEPS = "steps"
    KEYS = "keys"
    SOURCES = "sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The job's data for the scripts of one test."""

    uuid: str
    directory: str
    """The test's directory on the node."""
    parameters: Mapping[str, str]
    """Shell variables of the job; they override the definition's."""
    server_ip: str = ""
    repeat_count: int = 0


def install_script(
    definition: TestDefinition, facts: Facts, skip: SkipInstall | None
) -> str | None:
    """Return the text of install.sh; None if there is nothing to install."""
    lines = [] if skip is SkipInstall.ALL else list(_install_lines(definition, skip))
    return _script(definition, facts, "-ex", lines) if lines else None


def run_script(definition: TestDefinition, facts: Facts) -> str:
    """Return the text of run.sh."""
    name = quoted(definition.name)
    lines = [
        f"export TESTRUN_ID={name}",
        f"lava-record STARTRUN {name} {facts.uuid}",
        *map(_step, definition.run_steps),
    ]
    script = _script(definition, facts, "-e", lines)
    return f"{script}lava-record ENDRUN {name} {facts.uuid}\n"


def quoted(text: str) -> str:
    """Return `text` as one word of shell code; it may hold any character but NUL."""
    if re.fullmatch(r"[A-Za-z0-9_@%+:,./-]+", text):
        return text
    return _assigned(text)


def assignments(variables: Mapping[str, str]) -> str:
    """Return shell code that sets variables to exactly these values."""
    return "".join(f"{name}={_assigned(value)}\n" for name, value in variables.items())


def _assigned(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _script(definition: TestDefinition, facts: Facts, options: str, lines: list[str]) -> str:
    start = assignments({**definition.params, **facts.parameters})
    if facts.server_ip:
        start += assignments({"LAVA_SERVER_IP": facts.server_ip})
    start += "TARGET_TYPE=$(lava-distro)\n"
    if facts.repeat_count > 0:
        start += assignments({"REPEAT_COUNT": str(facts.repeat_count)})
    start += f"set {options}\ncd {quoted(facts.directory)}\n"
    # A step may end the script with status 0 before the last step.  Then this file is missing, and
    # lava-test-runner reports it.
    mark = f": >>{quoted(f'{facts.directory}.ended')}"
    *others, last = lines or [""]
    lines = [*others, _marked(last, mark), mark]
    return start + "".join(f"{line}\n" for line in lines)


def _marked(last: str, mark: str) -> str:
    """Return the last step of a script, with `mark` before an ``exit`` or ``exec`` that ends it."""
    leaving = _LEAVING.search(last)
    if leaving is None:
        return last
    command = leaving["command"].strip()
    command = f"{command} $?" if command == "exit" else command
    command = command.replace("$?", "$lava_status")
    before = last[: leaving.start("command")]
    return f"{before}{{ lava_status=$?; {mark}; {command}; }} {leaving['rest']}"


def _install_lines(definition: TestDefinition, skip: SkipInstall | None) -> Iterator[str]:
    if skip is not SkipInstall.KEYS:
        yield from (f"lava-add-keys {quoted(key)}" for key in definition.keys)
    if skip is not SkipInstall.SOURCES:
        yield from (f"lava-add-sources {quoted(source)}" for source in definition.sources)
    if skip is not SkipInstall.DEPS:
        yield from _package_lines(definition)
    if skip is not SkipInstall.STEPS:
        yield from map(_step, definition.install_steps)


def _package_lines(definition: TestDefinition) -> Iterator[str]:
    """Yield the shell lines that install all packages at once.

    Only the node knows its distribution, so the lines select its packages.
    """
    packages = _words(definition.dependencies)
    special = {
        distro: words
        for distro, entries in definition.distro_dependencies.items()
        if (words := _words(entries))
    }
    if not special:
        if packages:
            yield f"lava-install-packages {packages}"
        return
    yield f"set -- {packages}".rstrip()
    yield "case $TARGET_TYPE in"
    for distro, words in special.items():
        pattern = _OPENEMBEDDED if distro == "oe" else quoted(distro)
        yield f'{pattern}) set -- "$@" {words} ;;'
    yield "esac"
    yield '[ $# -eq 0 ] || lava-install-packages "$@"'
    yield "set --"


def _words(entries: tuple[str, ...]) -> str:
    return " ".join(quoted(word) for entry in entries for word in entry.split())


def _step(step: str) -> str:
    """Escape ``$1`` in commands for helpers, as LAVA does: the script's own arguments are empty.

    Within single quotes the shell expands nothing, and a backslash would get into the command.  A
    step that sets arguments or has functions means its own.
    """
    outside = bare(step)
    if _SETS_ARGUMENTS.search(outside):
        return step
    commands = [range(*found.span()) for found in _COMMAND_FOR_HELPER.finditer(outside)]
    around = list(quotes(step))
    return re.sub(
        r"(?<!\\)\$(?=\d)",
        lambda found: (
            r"\$"
            if around[found.start()] != "'" and any(found.start() in one for one in commands)
            else "$"
        ),
        step,
    )
