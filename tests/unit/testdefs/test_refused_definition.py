# SPDX-License-Identifier: MIT
"""A definition that cannot work is refused with every problem and its place."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from lava_vmgroup.base import safe_yaml
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.testdefs.definition import (
    parse_definition,
)
from tests.unit.testdefs.definitions import minimal, problems_of


def test_half_a_character_is_refused_with_its_place() -> None:
    (problem,) = problems_of('metadata: {name: "\\ud83d"}\n')

    assert problem == "line 1, column 18: not YAML: half a character"


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


def test_a_handler_is_refused_with_the_reason() -> None:
    assert problems_of(minimal(handler={"handler-name": "add-duration"})) == (
        "handler: in LAVA v1 it named a plug-in of the dispatcher, and there are none here; "
        "remove it, or do its work in run.steps",
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
            {"pattern": "^(?P<test_case_id>a)\b: (?P<result>b)"},
            "parse.pattern: has the control character '\\x08', which no line holds; within double "
            "quotes YAML makes it of a backslash and a letter: use single quotes",
        ),
        (
            {"pattern": "^(?P<test_case_id>a)\n(?P<result>b)\n"},
            "parse.pattern: has several lines, and is tried on one line after the other; write it "
            "as one line",
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


@pytest.mark.parametrize("section", ["run", "install"])
@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (["true", "./x |"], "steps[1]: it ends with |, and no command follows"),
        (["./x ||", "# nothing more", " "], "steps[0]: it ends with ||, and no command follows"),
    ],
)
def test_last_step_that_waits_for_a_command_is_refused(
    section: str, steps: list[str], problem: str
) -> None:
    # The shell would take the next line of the script, which is no step, for that command.
    (found,) = problems_of(minimal(**{section: {"steps": steps}}))

    assert found.startswith(f"{section}.{problem}")


def test_variables_that_bash_keeps_for_itself_are_refused() -> None:
    assert problems_of(minimal(params={"GROUPS": "a", "GROUP": "b"})) == (
        "params.GROUPS: bash keeps this variable for itself; use another name",
    )
