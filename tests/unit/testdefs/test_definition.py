# SPDX-License-Identifier: MIT
"""A test definition is read as LAVA reads it, or refused with every problem and its place."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lava_vmgroup.testdefs.definition import (
    DEFAULT_PATTERN,
    RepositoryToInstall,
    TestDefinition,
    metadata_text,
    parse_definition,
    parse_extra_metadata,
)
from lava_vmgroup.testdefs.source import Source, SourceKind
from tests.unit.testdefs.definitions import minimal

FULL = """
metadata:
  name: smoke-tests.v2
  format: "Lava-Test-Shell Test Definition 1.0"
  description: "Looks at everything"
  version: 1.5
  maintainer: [someone@example.org]
  scope: [functional]
  os: [debian, ubuntu]
  devices: [arndale, vexpress]
  environment: [lava-test-shell]
params:
  SIZE: 10
  EMPTY:
  SAFE: true
  TEXT: "it's $HOME"
install:
  deps: [gcc, "make patch"]
  steps: [make]
run:
  steps:
    - ./configure
    - |
      for item in 1 2; do
        echo $item
      done
parse:
  pattern: '^(?P<test_case_id>[a-z-]+): (?P<result>OK|BAD) (?P<measurement>[0-9.]+)?'
  fixupdict:
    OK: pass
    BAD: fail
"""


def test_a_full_definition_is_read() -> None:
    definition = parse_definition(FULL, source="x.yaml")

    assert definition.name == "smoke-tests.v2"
    assert definition.format == "Lava-Test-Shell Test Definition 1.0"
    assert definition.description == "Looks at everything"
    assert definition.version == "1.5"
    assert definition.os == ("debian", "ubuntu")
    assert definition.devices == ("arndale", "vexpress")
    assert definition.environment == ("lava-test-shell",)
    assert definition.dependencies == ("gcc", "make patch")
    assert definition.install_steps == ("make",)
    assert definition.run_steps == ("./configure", "for item in 1 2; do\n  echo $item\ndone\n")
    found = definition.parse.pattern.match("copy: OK 5 MB/s")
    assert found is not None
    assert found.groupdict() == {"test_case_id": "copy", "result": "OK", "measurement": "5"}
    assert definition.parse.fixups == {"OK": "pass", "BAD": "fail"}


def test_parameters_are_their_authors_text() -> None:
    definition = parse_definition(FULL, source="x.yaml")

    assert definition.params == {"SIZE": "10", "EMPTY": "", "SAFE": "true", "TEXT": "it's $HOME"}


ODD_SCALARS = (
    *("1.10", "yes", "Off", "on", "010", "0o10", "0x10", "0b1", "1e3", ".5", "1_000", "+1", "1."),
    *("12:30", "1:30:00", "2024-01-01", "2024-13-45", "2001-12-14t21:59:43.10-05:00", "="),
    *("True", "n", ".inf", ".NaN", "9" * 900, "1" + ":1" * 400),
)


@pytest.mark.parametrize("text", ODD_SCALARS)
def test_scalar_that_looks_like_something_else_stays_as_it_is_written(text: str) -> None:
    definition = parse_definition(
        f"""
metadata: {{name: {text}, format: {text}, description: {text}, version: {text}, os: [{text}]}}
params: {{A: {text}}}
install: {{deps: [{text}], git-repos: [{{url: x, branch: {text}}}]}}
run: {{steps: [{text}]}}
parse: {{fixupdict: {{{text}: pass}}}}
test-case-deps: [{{git-repo: x, revision: {text}, branch: {text}, parameters: {{A: {text}}}}}]
""",
        source="x.yaml",
    )

    (repository,) = definition.git_repositories
    (source,) = definition.test_case_deps
    found = [
        *(definition.format, definition.description, definition.version),
        *(definition.params["A"], *definition.os, *definition.dependencies, *definition.run_steps),
        *(repository.branch, source.revision, source.branch, source.parameters["A"]),
        *definition.parse.fixups,
    ]
    assert set(found) == {text}
    assert len(found) == 12
    assert text.startswith(definition.name)


@pytest.mark.parametrize("text", ["null", "~", "Null", ""])
def test_null_is_an_empty_parameter(text: str) -> None:
    definition = parse_definition(f"{minimal()}params: {{A: {text}}}\n", source="x.yaml")

    assert definition.params == {"A": ""}


def test_jsons_escapes_for_one_character_are_that_character() -> None:
    definition = parse_definition(f'{minimal()}params: {{A: "\\ud83d\\ude00"}}\n', source="x")

    assert definition.params == {"A": "\U0001f600"}


def test_a_minimal_definition_is_read() -> None:
    expected = TestDefinition(name="smoke", format="1.0", description="a test", run_steps=("true",))

    assert parse_definition(minimal(), source="x.yaml") == expected


def test_results_in_capitals_are_understood_without_a_fixupdict() -> None:
    text = minimal(parse={"pattern": "(?P<test_case_id>a) (?P<result>b)"})

    definition = parse_definition(text, source="x.yaml")

    assert definition.parse.fixups["PASS"] == "pass"


def test_the_metadata_of_a_bundle_has_eight_strings() -> None:
    definition = parse_definition(FULL, source="x.yaml")

    assert definition.metadata_for_bundle("URL", "https://lab/x.yaml") == {
        "description": "Looks at everything",
        "version": "1.5",
        "format": "Lava-Test-Shell Test Definition 1.0",
        "location": "URL",
        "url": "https://lab/x.yaml",
        "environment": "lava-test-shell",
        "os": "debian,ubuntu",
        "devices": "arndale,vexpress",
    }


def test_absent_metadata_are_empty_strings_in_a_bundle() -> None:
    definition = parse_definition(minimal(), source="x.yaml")

    metadata = definition.metadata_for_bundle("URL", "")

    assert {metadata[key] for key in ("version", "environment", "os", "devices")} == {""}


def test_the_metadata_on_the_node_are_those_of_the_bundle() -> None:
    definition = parse_definition(FULL, source="x.yaml")

    text = metadata_text(definition.metadata_for_bundle("URL", "u"))

    assert yaml.safe_load(text) == definition.metadata_for_bundle("URL", "u")


@pytest.mark.parametrize("characters", [*" $&()\"'<>/\\|;`\t\n\x1b\u2028", "  ", " / "])
def test_a_name_that_cannot_stand_in_a_marker_is_made_to(characters: str) -> None:
    text = minimal(metadata={"name": f"smo{characters}ke", "format": "", "description": ""})

    definition = parse_definition(text, source="x.yaml")

    assert definition.name == "smo_ke"
    assert definition.remarks == (
        "the test is called smo_ke: characters of its metadata.name are not allowed",
    )


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("größe.v2-漢", "größe.v2-漢"),
        ("..", ".."),
        ("x" * 5000, "x" * 200),
        ("  trimmed  ", "trimmed"),
        ("/", "_"),
        (" ", "_"),
    ],
)
def test_a_name_is_kept_as_far_as_it_can_be(given: str, made: str) -> None:
    text = minimal(metadata={"name": given, "format": "", "description": ""})

    assert parse_definition(text, source="x.yaml").name == made


@pytest.mark.parametrize("metadata", [{}, {"description": None, "version": None}])
def test_a_definition_needs_no_description(metadata: dict[str, Any]) -> None:
    text = minimal(metadata={"name": "smoke", "format": "1.0", **metadata})

    definition = parse_definition(text, source="x.yaml")

    assert (definition.description, definition.version) == ("", "")


@pytest.mark.parametrize("section", ["install", "params", "parse", "test-case-deps", "expected"])
def test_a_section_of_which_only_the_name_is_there_is_empty(section: str) -> None:
    definition = parse_definition(f"{minimal()}{section}:\n", source="x.yaml")

    assert definition == parse_definition(minimal(), source="x.yaml")


def test_a_definition_that_only_installs_is_read() -> None:
    text = minimal(install={"deps": ["gcc"], "steps": None}, run={"steps": None})

    definition = parse_definition(text, source="x.yaml")

    assert definition.run_steps == ()
    assert definition.dependencies == ("gcc",)


def test_all_of_install_is_read() -> None:
    text = minimal(
        params={"BRANCH": "stable"},
        install={
            "keys": ["1234ABCD"],
            "sources": ["deb http://lab/ x y"],
            "deps": ["gcc"],
            "deps-ubuntu": ["u1 u2"],
            "deps-oe": ["o1"],
            "git-repos": [
                "https://lab/one.git",
                {"url": "https://lab/two", "branch": "BRANCH", "destination": "in/two"},
                {"url": "/three", "skip_by_default": "SKIP"},
            ],
            "bzr-repos": ["lp:lava-test"],
        },
    )

    definition = parse_definition(text, source="x.yaml")

    assert definition.keys == ("1234ABCD",)
    assert definition.sources == ("deb http://lab/ x y",)
    assert definition.distro_dependencies == {"ubuntu": ("u1 u2",), "oe": ("o1",)}
    assert definition.git_repositories == (
        RepositoryToInstall(url="https://lab/one.git"),
        RepositoryToInstall(url="https://lab/two", branch="BRANCH", destination="in/two"),
        RepositoryToInstall(url="/three", skip_by_default="SKIP"),
    )
    assert definition.bzr_repositories == ("lp:lava-test",)


def test_todays_word_for_params_is_understood() -> None:
    definition = parse_definition(minimal(parameters={"SIZE": 3}), source="x.yaml")

    assert definition.params == {"SIZE": "3"}


def test_a_fixupdict_alone_goes_with_lavas_own_pattern() -> None:
    definition = parse_definition(minimal(parse={"fixupdict": {"PASS": "fail"}}), source="x.yaml")

    assert definition.parse.pattern.pattern == DEFAULT_PATTERN
    assert definition.parse.fixups == {"PASS": "fail"}


def test_definitions_to_run_before_are_read() -> None:
    text = minimal(
        **{
            "test-case-deps": [
                {"git-repo": "https://lab/x.git", "testdef": "a/b.yaml", "revision": 12},
                {"url": "other.yaml", "parameters": {"A": True}},
            ]
        }
    )

    definition = parse_definition(text, source="x.yaml")

    assert definition.test_case_deps == (
        Source(
            kind=SourceKind.GIT,
            location="https://lab/x.git",
            testdef="a/b.yaml",
            revision="12",
        ),
        Source(kind=SourceKind.URL, location="other.yaml", parameters={"A": "true"}),
    )


def test_metadata_that_a_test_keeps_are_its_text() -> None:
    assert parse_extra_metadata("a: 1.10\nb: yes\nc: 2024-13-45\n") == {
        "a": "1.10",
        "b": "yes",
        "c": "2024-13-45",
    }


@pytest.mark.parametrize("scalar", ["|", ">", "|+"])
def test_pattern_may_be_a_block_of_one_line(scalar: str) -> None:
    text = f"""{minimal()}
parse:
  pattern: {scalar}
    ^(?P<test_case_id>[a-z]+): (?P<result>PASS|FAIL)$
"""

    assert parse_definition(text, source="x").parse.pattern.match("net: FAIL") is not None


def test_steps_may_share_a_pipeline() -> None:
    steps = ["echo a |", "grep a"]

    assert parse_definition(minimal(run={"steps": steps}), source="x").run_steps == tuple(steps)
