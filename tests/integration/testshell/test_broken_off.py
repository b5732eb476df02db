# SPDX-License-Identifier: MIT
"""Tests that are broken off, or that cannot write, keep the verdicts that they had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.base.errors import TestError
from lava_vmgroup.results.model import Outcome
from tests.integration.testshell.recorded import one, recorded, told

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node


@pytest.mark.parametrize("limit", ["blocks", "inodes", "file size"])
def test_verdicts_arrive_and_the_test_goes_on_when_nothing_can_be_written(
    node: Node, limit: str
) -> None:
    spoil = {
        "blocks": "(trap '' XFSZ; ulimit -f 0; {0}) 2>/dev/null",
        "file size": "(ulimit -f 0; {0}) 2>/dev/null",
        "inodes": "mv $LAVA_RESULT_DIR/records $LAVA_RESULT_DIR/gone; {0};"
        " mv $LAVA_RESULT_DIR/gone $LAVA_RESULT_DIR/records",
    }[limit]
    run = recorded(
        node,
        "lava-test-case before --result pass",
        spoil.replace(
            "{0}",
            "lava-test-set start s; lava-test-case full --result fail;"
            " lava-test-case shell --shell false; lava-test-set stop",
        ),
        "lava-test-case after --result pass",
    )

    assert run.finished
    assert [(case.name, case.outcome.value, case.test_set) for case in run.cases] == [
        ("before", "pass", None),
        ("full", "fail", "s"),
        ("shell", "fail", "s"),
        ("after", "pass", None),
    ]


def test_the_job_is_ended_without_any_program_on_path(node: Node) -> None:
    with pytest.raises(TestError, match="the test raised an error: no _net_ at all"):
        recorded(node, "PATH=/nonexistent $(command -v lava-test-raise) 'no <net>' at all")


def test_a_folder_from_which_no_program_may_be_run_is_named(node: Node) -> None:
    runner = node.root / "not-executable"
    runner.write_text("#!/bin/sh\n")

    with pytest.raises(TestError, match="status 126") as failure:
        recorded(node, "true", runner=str(runner))

    assert "noexec, give lava_test_dir a folder elsewhere" in failure.value.describe()


def test_case_whose_helper_is_killed_has_failed(node: Node) -> None:
    run = recorded(
        node,
        "lava-test-case before --shell true",
        "lava-test-case load --shell sh -c 'kill -KILL $PPID' || echo flaky",
        "lava-test-case again --shell true",
        "lava-test-case again --shell sh -c 'kill -KILL $PPID' || true",
        "lava-test-case after --shell true",
    )

    assert sorted((name, outcome.value) for name, outcome in told(run)) == [
        ("after", "pass"),
        ("again", "fail"),
        ("again", "pass"),
        ("before", "pass"),
        ("load", "fail"),
    ]
    message = one(run, "load").message or "gave no verdict"
    assert "gave no verdict" in message, "dash has killed the command alone, without a message"


@pytest.mark.parametrize(
    "steps",
    [
        ("rm -f ../../bin/lava-settle", "lava-test-case b --shell true", "false"),
        ("chmod -x ../../bin/*", "lava-test-case b --shell false"),
    ],
)
def test_test_whose_end_is_not_reported_has_failed(node: Node, steps: tuple[str, ...]) -> None:
    run = recorded(node, "lava-test-case a --shell true", *steps, "lava-test-case never")

    assert one(run, "a").outcome is Outcome.PASS
    ending = one(run, "lava-test-shell-run")
    assert (ending.outcome, ending.message) == (Outcome.FAIL, "its end was never reported")
    assert not run.finished


@pytest.mark.parametrize(
    "step",
    [
        "trap 'kill 0' EXIT; false",
        "lava-test-case a --shell 'kill 0'",
        "lava-test-case a --shell 'kill -INT 0'",
        "kill -HUP 0; sleep 5",
    ],
)
def test_runner_that_a_signal_ends_is_no_end_of_the_tests(node: Node, step: str) -> None:
    with pytest.raises(TestError, match="ended with status (129|130|143) before its") as failure:
        recorded(node, "lava-test-case before --shell true", step, "lava-test-case never")

    assert "process group" in failure.value.describe()
