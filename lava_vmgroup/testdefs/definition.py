# SPDX-License-Identifier: MIT
"""A test definition as a value: LAVA's YAML, checked as a whole before anything runs.

`parse_definition` reports all problems of a file at once.  Each problem names its place in the file
and the expected value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

from lava_vmgroup.base import safe_yaml
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.place import place
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testdefs.checks import other_problems, section
from lava_vmgroup.testdefs.schema import found, schema_problems
from lava_vmgroup.testdefs.source import (
    Source,
    made_name,
    parameter_texts,
    parse_source,
)

DEFAULT_PATTERN = (
    r"(?P<test_case_id>\S.*)\s+:\s+(?P<result>PASS|pass|FAIL|fail|SKIP|skip|UNKNOWN|unknown)"
)
"""The pattern for results in a test's output if the definition has no ``parse.pattern``."""

_MAX_EXTRA_METADATA = 1 << 18
"""Characters; a longer file is ignored."""

_MANDATORY = ("metadata", "run")
_SECTIONS = ("metadata", "install", "run")
_OPTIONAL = ("description", "version")
_LISTS = frozenset(
    {
        *("os", "devices", "environment"),
        *("steps", "deps", "keys", "sources", "git-repos", "bzr-repos"),
    }
)
"""Keys within the sections whose values are lists."""

DEFAULT_FIXUPS: Mapping[str, str] = MappingProxyType(
    {outcome.value.upper(): outcome.value for outcome in Outcome}
)
"""LAVA's results in capitals, with their meaning.  A definition's ``fixupdict`` comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseRules:
    """The rules for reading results from the test's ordinary output."""

    pattern: UserPattern
    """Has the group test_case_id, and perhaps result, measurement, units and message."""
    fixups: Mapping[str, str]
    """The test's words for results, each with its meaning: pass, fail, skip or unknown."""


DEFAULT_RULES = ParseRules(
    pattern=UserPattern(DEFAULT_PATTERN, re.MULTILINE), fixups=DEFAULT_FIXUPS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryToInstall:
    """A repository that the dispatcher puts into the test's directory."""

    url: str
    branch: str = ""
    """A branch's name, or the name of a parameter that holds one."""
    destination: str = ""
    """A folder in the test's directory, or the name of a parameter that holds one."""
    skip_by_default: str = "false"
    """``true``, ``yes``, ``on`` or ``1`` leaves the repository out; or the name of a parameter that
    holds such a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestDefinition:
    """A test's name, its requirements, and the shell lines that it runs."""

    __test__ = False

    name: str
    format: str
    description: str
    version: str = ""
    remarks: tuple[str, ...] = ()
    """Warnings for the definition's author."""
    os: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    """Shell variables and their default values; a job may override them."""
    keys: tuple[str, ...] = ()
    """Keys of package sources to trust on the node."""
    sources: tuple[str, ...] = ()
    """Package sources to add on the node."""
    dependencies: tuple[str, ...] = ()
    """Packages to install on the node."""
    distro_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """More packages, by distribution; the node installs those for its own distribution."""
    git_repositories: tuple[RepositoryToInstall, ...] = ()
    bzr_repositories: tuple[str, ...] = ()
    install_steps: tuple[str, ...] = ()
    run_steps: tuple[str, ...] = ()
    parse: ParseRules = DEFAULT_RULES
    test_case_deps: tuple[Source, ...] = ()
    """Definitions that run before this one."""
    expected: tuple[str, ...] = ()
    """The test cases that the test must record, and no others.  If empty, it may record any."""

    def metadata_for_bundle(self, location: str, url: str) -> dict[str, str]:
        """Return the testdef_metadata of a result bundle: eight strings, all of them mandatory."""
        return {
            "description": self.description,
            "version": self.version,
            "format": self.format,
            "location": location,
            "url": url,
            "environment": ",".join(self.environment),
            "os": ",".join(self.os),
            "devices": ",".join(self.devices),
        }


def parse_definition(text: str, *, source: str) -> TestDefinition:
    """Parse the YAML text of a test definition; `source` is its URL or path, for messages.

    Raises `JobError` with all problems.
    """
    problems: list[str] = []
    try:
        content = _with_text_keys(safe_yaml.load(text), (), problems)
        content = _without_empty_sections(content)
    except safe_yaml.ERRORS as error:
        raise _refusal(source, [_yaml_problem(error)]) from error
    shape = schema_problems(content)
    problems += [*shape, *other_problems(content, fits=not shape)]
    if problems:
        raise _refusal(source, problems)
    return _definition(_texts(content))


def definition_text(content: Mapping[str, Any]) -> str:
    """Return the YAML text of a definition that is part of the job file."""
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False)


def parse_extra_metadata(text: str) -> dict[str, str]:
    """Parse the file that ``lava-test-case-metadata`` wrote on the node.

    Of equal names the last one counts.  If the text is too long or no YAML mapping, the result is
    empty.
    """
    if len(text) > _MAX_EXTRA_METADATA:
        return {}
    try:
        content = safe_yaml.load(text, repeated_keys=True)
    except safe_yaml.ERRORS:
        return {}
    if not isinstance(content, dict):
        return {}
    # The system under test wrote the file: nested values may be far larger than their text.
    return {
        str(name): str(value)
        for name, value in content.items()
        if isinstance(value, str | int | float)
    }


def _definition(content: Mapping[str, Any]) -> TestDefinition:
    metadata = content["metadata"]
    install = section(content, "install")
    name = made_name(metadata["name"])
    renamed = f"the test is called {name}: characters of its metadata.name are not allowed"
    return TestDefinition(
        name=name,
        format=metadata["format"],
        description=metadata.get("description") or "",
        version=metadata.get("version", ""),
        remarks=() if name == metadata["name"] else (renamed,),
        os=tuple(metadata.get("os", ())),
        devices=tuple(metadata.get("devices", ())),
        environment=tuple(metadata.get("environment", ())),
        params=parameter_texts(section(content, "params") or section(content, "parameters")),
        keys=tuple(install.get("keys", ())),
        sources=tuple(install.get("sources", ())),
        dependencies=tuple(install.get("deps", ())),
        distro_dependencies={
            key.removeprefix("deps-"): tuple(packages)
            for key, packages in install.items()
            if key.startswith("deps-")
        },
        git_repositories=tuple(map(_repository, install.get("git-repos", ()))),
        bzr_repositories=tuple(install.get("bzr-repos", ())),
        install_steps=tuple(install.get("steps", ())),
        run_steps=tuple(content["run"]["steps"]),
        parse=_rules(section(content, "parse")),
        test_case_deps=tuple(map(parse_source, content.get("test-case-deps", ()))),
        expected=tuple(content.get("expected", ())),
    )


def _rules(parse: Mapping[str, Any]) -> ParseRules:
    return ParseRules(
        pattern=UserPattern(parse.get("pattern", DEFAULT_PATTERN).rstrip("\n"), re.MULTILINE),
        fixups=parse.get("fixupdict", DEFAULT_FIXUPS),
    )


def _repository(entry: str | Mapping[str, Any]) -> RepositoryToInstall:
    return RepositoryToInstall(**({"url": entry} if isinstance(entry, str) else entry))


def _refusal(source: str, problems: list[str]) -> JobError:
    return JobError(f"test definition {source}: {'; '.join(problems)}", problems=problems)


def _yaml_problem(error: Exception) -> str:
    line, column, message = safe_yaml.problem(error)
    return f"line {line}, column {column}: {message}" if line else message


def _with_text_keys(value: Any, path: tuple[str | int, ...], problems: list[str]) -> Any:
    """Return `value` with text for all keys, and add a problem for every key that is no text.

    Such keys are null, and those with a tag such as ``!!int``: `safe_yaml` reads others as text.
    """
    if isinstance(value, list):
        return [_with_text_keys(item, (*path, index), problems) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        inner = (*path, str(key))
        if not isinstance(key, str):
            problems.append(
                f"{place(inner)}: expected text as the key, found {found(key)}; quote it"
            )
        result[str(key)] = _with_text_keys(item, inner, problems)
    return result


def _without_empty_sections(content: Any) -> Any:
    """Drop optional keys without a value, and make lists without a value empty ones.

    As in LAVA, ``steps:`` with nothing after it means no steps.
    """
    if not isinstance(content, dict):
        return content
    for name in _SECTIONS:
        inner = content.get(name)
        if isinstance(inner, dict):
            content[name] = {
                key: [] if value is None and key in _LISTS else value
                for key, value in inner.items()
                if value is not None or key not in _OPTIONAL
            }
    return {key: value for key, value in content.items() if value is not None or key in _MANDATORY}


def _texts(value: Any) -> Any:
    """Return the same data with ordinary strings in place of `safe_yaml.Plain`."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _texts(item) for key, item in value.items()}
    return [_texts(item) for item in value] if isinstance(value, list) else value


def metadata_text(metadata: Mapping[str, str]) -> str:
    """Return the bundle's eight strings as YAML, for the file ``testdef_metadata`` on the node."""
    return yaml.safe_dump(dict(metadata), allow_unicode=True)
