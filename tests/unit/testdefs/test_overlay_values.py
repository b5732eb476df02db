# SPDX-License-Identifier: MIT
"""Values and names of a job stay values in the overlay's files, or are refused."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.testdefs.overlay import (
    OverlaySpec,
    OverlayTest,
    build_overlay,
)
from lava_vmgroup.testdefs.steps import quoted
from tests.unit.testdefs.overlays import PLAIN, SPEC, run_script, text_of

HOSTILE = 'it\'s; $(touch /tmp/x) `id` "q" \\ \n$HOME é'


def test_the_jobs_parameters_override_the_definitions() -> None:
    test = OverlayTest(definition=PLAIN, uuid="a", source="", parameters={"B": "2", "A": "3"})

    assert run_script(test).startswith("A='3'\nB='2'\nTARGET_TYPE=")


def test_hostile_values_stay_values() -> None:
    test = OverlayTest(definition=PLAIN, uuid="a", source="", parameters={"B": HOSTILE})

    words = shlex.split(run_script(test).partition("TARGET_TYPE=")[0])

    assert words == ["A=1", f"B={HOSTILE}"]


def test_hostile_facts_stay_values() -> None:
    role = "it's $(id) `id` \\ é"

    environment = text_of(replace(SPEC, role=role), "lava-environment")

    assert f"LAVA_NODE_ROLE={role}" in shlex.split(environment, comments=True)


def test_the_environment_has_every_fact() -> None:
    spec = replace(SPEC, is_host=True, debug=True)

    words = shlex.split(text_of(spec, "lava-environment"), comments=True)

    assert words == [
        "LAVA_NODE_NAME=vm1-job0.1",
        "LAVA_NODE_ROLE=client",
        "LAVA_ROLES=host\nclient",
        "LAVA_GROUP=board\thost\nvm1-job0.1\tclient\nvm2-job0.2\tclient",
        "LAVA_TARGET_GROUP=group-1",
        "LAVA_IS_HOST=yes",
        "LAVA_HOST_IP=10.0.0.1",
        "LAVA_STEPS_SHELL=",
        "LAVA_RECORDS_FILE=",
        "LAVA_RECORDS_PORT=lava-vmgroup.records",
        "LAVA_MULTI_NODE_CACHE=/tmp/lava_multi_node_cache.txt",
        "LAVA_MULTI_NODE_DEBUG=yes",
    ]


def test_facts_that_are_not_known_are_empty() -> None:
    words = shlex.split(text_of(replace(SPEC, host_ip=None), "lava-environment"), comments=True)

    assert {"LAVA_HOST_IP=", "LAVA_IS_HOST=", "LAVA_MULTI_NODE_DEBUG="} <= set(words)


@pytest.mark.parametrize(
    ("step", "written"),
    [
        (
            "lava-test-case a --shell \"awk '{print $1}'\"",
            "lava-test-case a --shell \"awk '{print \\$1}'\"",
        ),
        ("lava-x --cmd echo $12 \\$3 $HOME", "lava-x --cmd echo \\$12 \\$3 $HOME"),
        ("awk '{print $1}'", "awk '{print $1}'"),
        (
            'lava-test-case "$1" --shell ./x 2>&1 $2; lava-test-case b --result $3',
            'lava-test-case "$1" --shell ./x 2>&1 \\$2; lava-test-case b --result $3',
        ),
        (
            'present() { lava-test-case "present-$1" --shell test -n "$2"; }',
            'present() { lava-test-case "present-$1" --shell test -n "$2"; }',
        ),
        (
            'set -- a; lava-test-case a --shell test "$1" = a',
            'set -- a; lava-test-case a --shell test "$1" = a',
        ),
        (
            "lava-x --shell 'set -- a'; lava-test-case b --shell \"f() { test $1; }; f\"",
            "lava-x --shell 'set -- a'; lava-test-case b --shell \"f() { test \\$1; }; f\"",
        ),
        ("useradd --shells x $1", "useradd --shells x $1"),
    ],
)
def test_numbered_arguments_reach_the_commands_of_helpers(step: str, written: str) -> None:
    test = OverlayTest(definition=replace(PLAIN, run_steps=(step,)), uuid="a", source="")

    assert f"\n{written}\n" in run_script(test)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (replace(SPEC, lava_test_dir="relative"), "lava_test_dir: expected an absolute path"),
        (replace(SPEC, lava_test_dir="/a b"), "lava_test_dir: expected an absolute path"),
        (replace(SPEC, lava_test_dir="/"), "lava_test_dir: expected an absolute path"),
        (replace(SPEC, lava_test_dir="/a/../b"), "lava_test_dir: expected an absolute path"),
        (replace(SPEC, shell="sh"), "shell: expected an absolute path"),  # noqa: S604
        (replace(SPEC, role="a\nb"), "expected a printable name or role, found 'a\\nb'"),
        (replace(SPEC, group=[("a\tb", "c")]), "expected a printable name or role"),
        (replace(SPEC, group=[("a", "")]), "expected a printable name or role, found ''"),
        (
            replace(SPEC, tests=[OverlayTest(definition=PLAIN, uuid="../x", source="")]),
            "plain: expected a UUID, found '../x'",
        ),
        (
            replace(
                SPEC,
                tests=[OverlayTest(definition=PLAIN, uuid="a", source="", parameters={"a;b": ""})],
            ),
            "plain: parameters.a;b: expected a shell variable's name",
        ),
        (
            replace(
                SPEC,
                tests=[OverlayTest(definition=PLAIN, uuid="a", source="", parameters={"a": "\0"})],
            ),
            "plain: parameters.a: expected text without NUL",
        ),
    ],
)
def test_what_cannot_stand_in_the_nodes_files_is_refused(spec: OverlaySpec, problem: str) -> None:
    with pytest.raises(JobError) as caught:
        build_overlay(spec)

    assert any(found.startswith(problem) for found in caught.value.problems)


def test_every_problem_of_an_overlay_is_reported() -> None:
    with pytest.raises(JobError) as caught:
        build_overlay(replace(SPEC, shell="sh", role="\n"))  # noqa: S604

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("text", ["plain", "", "a b", "it's", "$(id)", "a\nb", "*", "~"])
def test_quoted_text_is_one_word(text: str) -> None:
    assert shlex.split(quoted(text)) == [text]


def test_harmless_words_are_not_quoted() -> None:
    assert quoted("/usr/bin/x-1.0_2+a:b@c%d,") == "/usr/bin/x-1.0_2+a:b@c%d,"
