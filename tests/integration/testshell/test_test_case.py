# SPDX-License-Identifier: MIT
"""lava-test-case records results by markers and on disk, under every shell a node may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--result", "pass"), "RESULT=pass"),
        (("--result", "odd"), "RESULT=odd"),
        (
            ("--result", "fail", "--units", "MB/s", "--measurement", "-1.5e3"),
            "RESULT=fail UNITS=MB/s MEASUREMENT=-1.5e3",
        ),
        (
            ("--measurement", "3", "--units", "s", "--result", "skip"),
            "RESULT=skip UNITS=s MEASUREMENT=3",
        ),
        (("--result", "pass", "--measurement", "3"), "RESULT=pass MEASUREMENT=3"),
    ],
)
def test_a_result_is_printed_as_a_marker(
    node: Node, arguments: tuple[str, ...], words: str
) -> None:
    node.unpack()

    ran = node.helper("lava-test-case", "net/ping", *arguments)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=net/ping {words}>\n"


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (("true",), "pass"),
        (("false",), "fail"),
        (("exit 0",), "pass"),
        (("exit", "3"), "fail"),
        (("test", "1", "-lt", "2"), "pass"),
        (("no-such-command",), "fail"),
        (("test", "-z", "$NEVER_SET"), "pass"),
        (("false | true",), "pass"),
        (("X=1; test $X = 1",), "pass"),
    ],
)
def test_a_commands_status_is_the_result(node: Node, command: tuple[str, ...], result: str) -> None:
    node.unpack()

    ran = node.helper("lava-test-case", "a", "--shell", *command)

    assert ran.returncode == 0
    assert [line for line in ran.stdout.splitlines() if line] == [
        "<LAVA_SIGNAL_STARTTC a>",
        "<LAVA_SIGNAL_ENDTC a>",
        f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT={result}>",
    ]


@pytest.mark.parametrize("output", ["whole\\n", "unfinished", ""])
def test_markers_begin_a_line_whatever_the_command_printed(node: Node, output: str) -> None:
    node.unpack()

    ran = node.helper("lava-test-case", "a", "--shell", f"printf '{output}'")

    assert "<LAVA_SIGNAL_ENDTC a>" in ran.stdout.splitlines()


def test_a_command_reads_the_console(node: Node) -> None:
    node.unpack()

    ran = node.helper(
        "lava-test-case", "a", "--shell", 'read -r line && test "$line" = hello', typed="hello\n"
    )

    assert "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass>" in ran.stdout.splitlines()


def test_results_are_kept_where_the_test_shell_says(node: Node) -> None:
    node.unpack()
    results = node.root / "kept"

    node.helper(
        "lava-test-case", "a", "--result", "pass", "--units", "s", LAVA_RESULT_DIR=str(results)
    )
    node.helper("lava-test-case", "b", "--shell", "false", LAVA_RESULT_DIR=str(results))

    kept = {str(p.relative_to(results)): p.read_text() for p in results.rglob("*") if p.is_file()}
    assert kept == {
        "results/a/result": "pass\n",
        "results/a/units": "s\n",
        "results/b/result": "fail\n",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "usage: lava-test-case ID --shell COMMAND..."),
        (("a",), "usage: "),
        (("a", "--shell"), "lava-test-case: --shell needs a command"),
        (("a", "--result"), "lava-test-case: --result needs a value"),
        (("a", "--units", "s"), "lava-test-case: --result is missing"),
        (("a", "--colour", "red"), "lava-test-case: unknown option --colour"),
        (("a", "pass"), "lava-test-case: pass needs a value"),
        (("", "--result", "pass"), "lava-test-case: the ID is empty"),
        (("a b", "--result", "pass"), "lava-test-case: the ID 'a b' has a blank"),
        (("a>", "--shell", "true"), "lava-test-case: the ID 'a>' has a blank"),
        (("../a", "--result", "pass"), "lava-test-case: the ID '../a' has a '..'"),
        (("a", "--result", "pass", "--units", "a b"), "lava-test-case: the value of --units 'a b'"),
        (("a", "--result", ""), "lava-test-case: the value of --result is empty"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    node: Node, arguments: tuple[str, ...], message: str
) -> None:
    node.unpack()

    ran = node.helper("lava-test-case", *arguments)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(message)
