# SPDX-License-Identifier: MIT
"""Steps that are cut short fail, although their script ends with 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lava_vmgroup.testshell import events
from tests.integration.testshell.definitions import definition

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

FAILING = "lava-test-case last --shell false"


@pytest.mark.parametrize(
    "step",
    [
        "exit 0",
        "exit",
        "exec true",
        "cat <<EOF",
        "cat <<EOF\nexit 0",
        "trap 'exit 0' EXIT; false",
        "set -n",
        "if true; then\n  exit 0\nfi",
        "unset LAVA_RESULT_DIR; exit 0",
    ],
)
def test_steps_that_are_cut_short_do_not_end_well(node: Node, step: str) -> None:
    node.unpack(definition("cut", step, FAILING), definition("one step", f"{step}\n{FAILING}"))

    finished = node.run_tests()

    assert [event for event in finished.events if isinstance(event, events.TestExited)] == [
        events.TestExited(directory="0_uuid-0", return_code=0, early=True),
        events.TestExited(directory="1_uuid-1", return_code=0, early=True),
    ]


@pytest.mark.parametrize("step", ["exit 0", "exec true", "cat <<EOF"])
def test_a_test_is_skipped_when_its_install_steps_are_cut_short(node: Node, step: str) -> None:
    node.unpack(definition("cut", "echo tested", install=(step, "echo installed; false")))

    finished = node.run_tests()

    assert finished.events[1:-1] == [events.InstallFailed(directory="0_uuid-0", early=True)]
    assert "tested" not in finished.lines


@pytest.mark.parametrize(
    "step",
    [
        "exit 0",
        "exit",
        "rc=0\n(exit 0) || rc=1\nexit $rc",
        "exit ${rc:-0}; ",
        "exit 0  # well done",
        "(exit 3) || exit 0",
        "true && exit $?",
        "false || \\\n  exit 0",
        "if true; then\n  exit 0\nfi\n",
        "true || { echo no; exit 1; }",
        "exec echo 'a; b' \"$HOME\" 2>&1",
        "exec sh -c 'exit 0' \\\n  name $(echo x)",
        "set -C; false && exit 0",
        "sh -c 'true; exit 0'",
        "cat <<EOF\nexit 0\nEOF",
        "# nothing; exit 0",
        "cd ..; rm -r 0_uuid-0",
    ],
)
def test_a_script_may_be_left_by_its_last_command(node: Node, step: str) -> None:
    node.unpack(
        definition("left", "lava-test-case one --shell true", step, install=("true", "exit 0")),
        definition("next", "true"),
    )

    finished = node.run_tests()

    assert [event for event in finished.events if isinstance(event, events.TestExited)] == [
        events.TestExited(directory="0_uuid-0", return_code=0),
        events.TestExited(directory="1_uuid-1", return_code=0),
    ]


@pytest.mark.parametrize("step", ["exit 3", "(exit 3) || exit $?", "set +e; (exit 3)\nexit"])
def test_a_last_exit_keeps_its_status(node: Node, step: str) -> None:
    node.unpack(definition("left", step))

    finished = node.run_tests()

    assert events.TestExited(directory="0_uuid-0", return_code=3) in finished.events
