# SPDX-License-Identifier: MIT
"""A test definition as a value: LAVA's YAML, checked as a whole before anything runs.

Every problem of a file is reported at once, each with its place and with what was expected there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

from lava_vmgroup import safe_yaml
from lava_vmgroup.errors import JobError
from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testshell.definition_schema import found, schema_problems
from lava_vmgroup.testshell.pattern import pattern_problem

FORBIDDEN_IN_NAMES = " $&()\"'<>/\\|;`"
"""What metadata.name must not contain: the name stands in shell code and in marker lines."""

PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

DEFAULT_FIXUPS: Mapping[str, str] = MappingProxyType(
    {outcome.value.upper(): outcome.value for outcome in Outcome}
)
"""How results of parse.pattern are read when the definition has no fixupdict of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseRules:
    """How results are read from the test's ordinary output."""

    pattern: re.Pattern[str]
    """Has the groups test_case_id and result; measurement, units and others are optional."""
    fixups: Mapping[str, str]
    """From the word that the test prints to pass, fail, skip or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestDefinition:
    """What a test is called, what it needs, and which shell lines it runs."""

    __test__ = False

    name: str
    format: str
    description: str
    version: str = ""
    os: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    """Shell variables and their default values; a job may override them."""
    dependencies: tuple[str, ...] = ()
    """Packages to install on the node."""
    install_steps: tuple[str, ...] = ()
    run_steps: tuple[str, ...] = ()
    parse: ParseRules | None = None

    def metadata_for_bundle(self, location: str, url: str) -> dict[str, str]:
        """The testdef_metadata of a result bundle: eight strings, all of them mandatory."""
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
    """Read a test definition; `source` is its URL or path, for messages.

    Raises JobError with every problem found.
    """
    problems: list[str] = []
    try:
        content = _with_text_keys(safe_yaml.load(text), "", problems)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _refusal(source, [_yaml_problem(error)]) from error
    problems += schema_problems(content)
    if isinstance(content, dict):
        problems += _name_problems(_section(content, "metadata").get("name"))
        problems += _parameter_problems(_section(content, "params"))
        problems += _pattern_problems(_section(content, "parse"))
    if problems:
        raise _refusal(source, problems)
    return _definition(content)


def _definition(content: Mapping[str, Any]) -> TestDefinition:
    metadata = content["metadata"]
    install = _section(content, "install")
    parse = _section(content, "parse")
    rules = None
    if parse:
        rules = ParseRules(
            pattern=re.compile(parse["pattern"], re.MULTILINE),
            fixups=parse.get("fixupdict", DEFAULT_FIXUPS),
        )
    return TestDefinition(
        name=metadata["name"],
        format=metadata["format"],
        description=metadata["description"],
        version=str(metadata.get("version", "")),
        os=tuple(metadata.get("os", ())),
        devices=tuple(metadata.get("devices", ())),
        environment=tuple(metadata.get("environment", ())),
        params={
            name: "" if value is None else str(value)
            for name, value in _section(content, "params").items()
        },
        dependencies=tuple(install.get("deps", ())),
        install_steps=tuple(install.get("steps", ())),
        run_steps=tuple(content["run"]["steps"]),
        parse=rules,
    )


def _refusal(source: str, problems: list[str]) -> JobError:
    return JobError(f"test definition {source}: {'; '.join(problems)}", problems=problems)


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping of the definition, empty when it is absent or (reported elsewhere) none."""
    section = content.get(name)
    return section if isinstance(section, dict) else {}


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: not YAML: {error.problem}"
    if isinstance(error, RecursionError):
        return "nested too deeply, or into itself"
    return f"not YAML: {error}"


def _with_text_keys(value: Any, place: str, problems: list[str]) -> Any:
    """The same value with text for keys: YAML reads ``on:`` and ``1:`` as other types."""
    if isinstance(value, list):
        return [
            _with_text_keys(item, f"{place}[{index}]", problems) for index, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        inner = f"{place}.{key}" if place else str(key)
        if not isinstance(key, str):
            problems.append(f"{inner}: expected text as the key, found {found(key)}; quote it")
        result[str(key)] = _with_text_keys(item, inner, problems)
    return result


def _name_problems(name: object) -> Iterator[str]:
    if not isinstance(name, str):
        return
    bad = [
        f"{character!r} at {position}"
        for position, character in enumerate(name)
        if character in FORBIDDEN_IN_NAMES or not character.isprintable()
    ]
    if bad:
        yield (
            f"metadata.name: expected a name without blanks and {FORBIDDEN_IN_NAMES.strip()}, "
            f"found {', '.join(bad)}"
        )


def _parameter_problems(params: Mapping[str, Any]) -> Iterator[str]:
    for name, value in params.items():
        if not PARAMETER_NAME.fullmatch(name):
            yield f"params.{name}: expected a shell variable's name: letters, digits and _"
        if isinstance(value, str) and "\0" in value:
            yield f"params.{name}: expected text without NUL, which no shell variable can hold"


def _pattern_problems(parse: Mapping[str, Any]) -> Iterator[str]:
    pattern = parse.get("pattern")
    problem = pattern_problem(pattern) if isinstance(pattern, str) else None
    if problem:
        yield f"parse.pattern: {problem}"


def metadata_text(definition: TestDefinition, location: str, url: str) -> str:
    """What is kept on the node as ``testdef_metadata``: the bundle's eight strings as YAML."""
    return yaml.safe_dump(definition.metadata_for_bundle(location, url), allow_unicode=True)
