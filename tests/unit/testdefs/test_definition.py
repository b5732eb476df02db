# SPDX-License-Identifier: MIT
"""A test definition is read as LAVA reads it, or refused with every problem and its place."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import yaml

from lava_vmgroup.base import safe_yaml
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.testdefs.definition import (
    DEFAULT_PATTERN,
    RepositoryToInstall,
    TestDefinition,
    metadata_text,
    parse_definition,
    parse_extra_metadata,
)
from lava_vmgroup.testdefs.source import Source, SourceKind

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


def minimal(**changes: Any) -> str:
    """A definition of nothing but what is mandatory, with sections replaced (None: removed)."""
    content: dict[str, Any] = {
        "metadata": {"name": "smoke", "format": "1.0", "description": "a test"},
        "run": {"steps": ["true"]},
    }
    content |= changes
    return yaml.safe_dump({key: value for key, value in content.items() if value is not None})


def problems_of(text: str) -> tuple[str, ...]:
    """Return the problems of a definition."""
    with pytest.raises(JobError) as caught:
        parse_definition(text, source="https://lab/x.yaml")
    return caught.value.problems


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


def test_half_a_character_is_refused_with_its_place() -> None:
    (problem,) = problems_of('metadata: {name: "\\ud83d"}\n')

    assert problem == "line 1, column 18: not YAML: half a character"


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


def test_every_problem_is_reported_at_once_with_its_place() -> None:
    text = """
metadata: {name: [a], format: {}, os: [debian, [2]]}
params: {1x: a, b: [1]}
install: {steps: 3, deps: [[3]], step: []}
run: {steps: [ok, echo a: b]}
parse: {fixupdict: {PASS: good}, pattern: '(?P<result>x)'}
install-more: 1
"""

    assert sorted(problems_of(text)) == [
        "install-more: unknown key; expected one of metadata, params, parameters, "
        "install, run, parse, test-case-deps, expected",
        "install.deps[0]: expected text, found a list of 1",
        "install.step: unknown key; expected one of deps, steps, keys, sources, git-repos, "
        "bzr-repos",
        "install.steps: expected a list, found 3 (int)",
        "metadata.format: expected text, found a mapping with no keys",
        "metadata.name: expected text, found a list of 1",
        "metadata.os[1]: expected text, found a list of 1",
        "params.1x: expected a shell variable's name: letters, digits and _",
        "params.b: expected text or nothing, found a list of 1",
        "parse.fixupdict.PASS: expected one of pass, fail, skip, unknown, found 'good' (text)",
        "parse.pattern: expected the groups (?P<test_case_id>…)",
        "run.steps[1]: expected text, found a mapping with echo a; YAML takes a line with ': ' for "
        "a key and its value: quote the whole line",
    ]


def test_the_message_names_the_file_and_the_problems() -> None:
    with pytest.raises(JobError) as caught:
        parse_definition(minimal(run=None), source="https://lab/x.yaml")

    assert str(caught.value) == (
        "test definition https://lab/x.yaml: run: missing; expected a mapping"
    )


def test_every_missing_section_is_reported_once() -> None:
    assert problems_of("{}") == (
        "metadata: missing; expected a mapping",
        "run: missing; expected a mapping",
    )


def test_a_control_character_in_a_key_is_escaped_in_the_message() -> None:
    (problem,) = problems_of(f'{minimal()}"a\\eb": 1\n')

    assert problem.startswith(r"'a\x1bb': unknown key; ")


def test_text_that_does_not_fit_a_pattern_is_refused() -> None:
    text = minimal(**{"test-case-deps": [{"url": "x", "recursive": "maybe"}]})

    (problem,) = problems_of(text)

    assert problem.startswith("test-case-deps[0].recursive: expected ")
    assert problem.endswith(", found 'maybe' (text)")


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


def test_an_empty_name_is_refused() -> None:
    problems = problems_of(minimal(metadata={"name": "", "format": "", "description": ""}))

    assert problems == ("metadata.name: expected text that is not empty",)


def test_a_manual_test_is_refused_with_the_reason() -> None:
    text = minimal(run={"steps": ["Press the button"], "expected": ["The LED is on"]})

    assert problems_of(text) == (
        "run.expected: in a manual test definition it tells a person the right outcome, and no "
        "program can run that; test cases that a test must record stand in expected at the top "
        "of the file",
    )


@pytest.mark.parametrize("section", ["install", "params", "parse", "test-case-deps", "expected"])
def test_a_section_of_which_only_the_name_is_there_is_empty(section: str) -> None:
    definition = parse_definition(f"{minimal()}{section}:\n", source="x.yaml")

    assert definition == parse_definition(minimal(), source="x.yaml")


def test_a_definition_that_only_installs_is_read() -> None:
    text = minimal(install={"deps": ["gcc"], "steps": None}, run={"steps": None})

    definition = parse_definition(text, source="x.yaml")

    assert definition.run_steps == ()
    assert definition.dependencies == ("gcc",)


def test_a_handler_is_refused_with_the_reason() -> None:
    assert problems_of(minimal(handler={"handler-name": "add-duration"})) == (
        "handler: in LAVA v1 it named a plug-in of the dispatcher, and there are none here; "
        "remove it, or do its work in run.steps",
    )


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


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"params": {"A": 1}, "parameters": {"A": 1}},
            "parameters: another word for params; give one of the two",
        ),
        (
            {"install": {"git-repos": [{"branch": "x"}]}},
            "install.git-repos[0].url: missing; expected text",
        ),
        (
            {"install": {"git-repos": [[3]]}},
            "install.git-repos[0]: expected text or a mapping, found a list of 1",
        ),
        (
            {"install": {"git-repos": [{"url": "x", "destination": "../y"}]}},
            "install.git-repos[0].destination: expected a path inside the repository, found '../y'",
        ),
        (
            {"test-case-deps": [{"testdef": "x"}]},
            "test-case-deps[0]: expected exactly one of git-repo, bzr-repo, tar-repo, url, from, "
            "found none of them",
        ),
        (
            {"test-case-deps": [{"url": "x", "colour": "red"}]},
            "test-case-deps[0].colour: unknown key; expected one of git-repo, bzr-repo, "
            "tar-repo, url, from, repository, testdef, path, name, revision, branch, parameters, "
            "params, expected, lava-signal, history, recursive",
        ),
    ],
)
def test_sections_that_cannot_work_are_refused(changes: dict[str, Any], problem: str) -> None:
    assert problems_of(minimal(**changes)) == (problem,)


@pytest.mark.parametrize(
    ("parse", "problem"),
    [
        (
            {"pattern": "(?P<test_case_id>a"},
            "parse.pattern: expected a regular expression: missing ), unterminated subpattern "
            "at position 0",
        ),
        (
            {"pattern": "a"},
            "parse.pattern: expected the groups (?P<test_case_id>…)",
        ),
        (
            {"pattern": "(?P<test_case_id>(a+)+) (?P<result>b)"},
            "parse.pattern: a repeated group holds a repetition, as in (a+)*: it could take for "
            "ever on one line; expected a pattern without nested quantifiers",
        ),
    ],
)
def test_a_parse_section_that_cannot_work_is_refused(parse: object, problem: str) -> None:
    assert problems_of(minimal(parse=parse)) == (problem,)


def test_keys_that_are_no_text_are_refused() -> None:
    assert problems_of(f"{minimal()}params: {{~: x}}") == (
        "line 8, column 10: not YAML: the key '~' is no text; put it in quotes",
    )


def test_a_parameter_that_no_variable_can_hold_is_refused() -> None:
    assert problems_of(minimal(params={"A": "x\0y"})) == (
        "params.A: expected text without NUL, which no shell variable can hold",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file: expected a mapping, found nothing"),
        ("[1, 2]", "the file: expected a mapping, found a list of 2"),
        (
            "run:\n  steps: [a",
            "line 2, column 12: not YAML: expected ',' or ']', but got '<stream end>'",
        ),
        ("a: b\nc: \x1b[m", "line 2, column 4: not YAML: the character U+001B is not allowed"),
        ("[" * 5000, "nested too deeply, or into itself"),
        ("&a [*a]", "nested too deeply, or into itself"),
        (
            "a: !!python/name:os.getcwd",
            "line 1, column 4: not YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/name:os.getcwd'",
        ),
    ],
)
def test_a_file_that_is_no_definition_at_all_is_refused(text: str, problem: str) -> None:
    assert problems_of(text) == (problem,)


def test_a_definition_that_grows_by_its_merges_is_refused_before_it_does() -> None:
    keys = ", ".join(f"k{number}: 1" for number in range(100))
    lines = [f"a0: &a0 {{{keys}}}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)]

    # Some versions of the parser would make 2^39 pairs of it.
    with pytest.raises(JobError):
        parse_definition("\n".join(lines), source="x.yaml")


def test_metadata_that_a_test_keeps_are_its_text() -> None:
    assert parse_extra_metadata("a: 1.10\nb: yes\nc: 2024-13-45\n") == {
        "a": "1.10",
        "b": "yes",
        "c": "2024-13-45",
    }


def test_a_definition_of_many_values_is_refused_while_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safe_yaml, "MAX_VALUES", 1000)
    text = "[" + "a," * 10_000 + "]"

    tracemalloc.start()
    try:
        with pytest.raises(JobError, match="more than 1000 values"):
            parse_definition(text, source="x.yaml")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 << 20


def test_step_with_a_colon_is_refused_with_the_advice_to_quote_it() -> None:
    text = 'metadata: {name: a, format: "1.0"}\nrun:\n  steps:\n    - echo "c : PASS"\n'

    with pytest.raises(JobError, match=r"steps\[0\]: expected text.*quote the whole line"):
        parse_definition(text, source="test")
