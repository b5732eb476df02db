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
        (("--result", "pass", "--units", "MB / s"), "RESULT=pass UNITS=MB / s"),
        (("--result", "pass", "--measurement", ""), "RESULT=pass MEASUREMENT="),
        (("--result", "pass", "--units", ""), "RESULT=pass UNITS="),
        (("--result", ""), "RESULT="),
        (("--result",), "RESULT="),
        (("--result", "not pass"), "RESULT=not_pass"),
        # A variable without quotes was empty.
        (("--measurement", "--units", "s", "--result", "pass"), "RESULT=pass UNITS=s MEASUREMENT="),
        (("--result", "--measurement", "5"), "RESULT= MEASUREMENT=5"),
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
    ("given", "recorded"),
    [
        ("id with blank", "id with blank"),
        ("a>b<c", "a_b_c"),
        ("two\nlines\t", "two lines "),
        (" CONFIG_X=y ", " CONFIG_X=y "),
        ("../a", "../a"),
        ("-n", "-n"),
        ("*", "*"),
        ("x" * 1500, "x" * 1000),
    ],
)
def test_a_verdict_is_kept_whatever_its_name(node: Node, given: str, recorded: str) -> None:
    node.unpack()
    kept = node.root / "kept" / "results"
    kept.mkdir(parents=True)

    ran = node.helper("lava-test-case", given, "--result", "fail", LAVA_RESULT_DIR=str(kept.parent))

    assert ran.returncode == 0
    assert ran.stdout == f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={recorded} RESULT=fail>\n"
    assert ("is recorded as" in ran.stderr) == (given != recorded)
    assert {path.parent for path in node.root.rglob("result")} <= {kept / recorded}


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (("true",), "pass"),
        (("false",), "fail"),
        (("exit 0",), "pass"),
        (("exit", "3"), "fail"),
        (("test", "1", "-lt", "2"), "pass"),
        (("no-such-command",), "fail"),
        (("test", "-z", "$NEVER_SET"), "fail"),
        (("test -z $NEVER_SET",), "pass"),
        (("sh", "-c", "exit 1"), "fail"),
        (("[", "-n", "", "]"), "fail"),
        (("sh", "-c", 'test "$1" = "a  b"', "x", "a  b"), "pass"),
        (('test "$TEST_CASE_ID" = a',), "pass"),
        (("usage",), "fail"),
        (("test", "-z", "${result+x}"), "fail"),
        (("test -z ${result+x}",), "pass"),
        ((), "unknown"),
        (("",), "unknown"),
        ((" \n\t",), "unknown"),
        (("  # false",), "unknown"),
        (("# not the end\nfalse",), "fail"),
        (("# not the end\ntrue",), "pass"),
        (("", "true"), "fail"),
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
        "results/b/begun": ".",
        "results/b/result": "fail\n",
    }


def test_output_of_a_file_stands_between_the_markers_of_the_case(node: Node) -> None:
    node.unpack()
    (node.root / "log").write_text("first\nlast")

    ran = node.helper("lava-test-case", "a b", "--result", "pass", "--output", "log")
    missing = node.helper("lava-test-case", "a", "--output", "no-such", "--result", "fail")

    assert (ran.returncode, missing.returncode) == (0, 0)
    assert ran.stdout.splitlines() == [
        "<LAVA_SIGNAL_STARTTC a b>",
        "first",
        "last",
        "<LAVA_SIGNAL_ENDTC a b>",
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a b RESULT=pass>",
    ]
    assert "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=fail>" in missing.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "lava-test-case: the ID is missing"),
        (("a",), "lava-test-case: --result is missing"),
        (("a", "--units", "s"), "lava-test-case: --result is missing"),
        (("a", "--result", "pass", "--colour", "red"), "lava-test-case: unknown option --colour"),
        (("a", "--colour", "--result", "pass"), "lava-test-case: unknown option --colour"),
        (("a", "--result", "pass", "--shell", "b"), "lava-test-case: unknown option --shell"),
    ],
)
def test_what_lava_refuses_is_refused(node: Node, arguments: tuple[str, ...], message: str) -> None:
    node.unpack()

    ran = node.helper("lava-test-case", *arguments)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(message)
    assert "usage: lava-test-case ID --shell COMMAND..." in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "recorded", "warning"),
    [
        (("two", "words", "--result", "fail"), "two words RESULT=fail", "'two words'"),
        (("two", "", "words", "--shell", "exit 3"), "two words RESULT=fail", "'two words'"),
        (("", "--result", "fail"), "unnamed RESULT=fail", "'unnamed'"),
        ((" \t", "--result", "fail"), "unnamed RESULT=fail", "'unnamed'"),
        (("\a", "--result", "fail"), "unnamed RESULT=fail", "'unnamed'"),
        (("--result", "fail"), "unnamed RESULT=fail", "'unnamed'"),
        (("--shell", "false"), "unnamed RESULT=fail", "'unnamed'"),
        (("--net", "--result", "fail"), "--net RESULT=fail", ""),
        (
            ("a", "--result", "fail", "--units", "MB", "/", "s", "--measurement", "5", "ms"),
            "a RESULT=fail UNITS=MB / s MEASUREMENT=5 ms",
            "'MB / s'",
        ),
        (("a", "--result", "fail", "then", "pass"), "a RESULT=fail", "'fail then pass'"),
        (("a", "--result", "pass", "then", "fail"), "a RESULT=pass_then_fail", "'pass then fail'"),
        (("a", "--result", "pass", "--units"), "a RESULT=pass UNITS=", ""),
    ],
)
def test_verdict_is_not_lost_for_words_without_quotes(
    node: Node, arguments: tuple[str, ...], recorded: str, warning: str
) -> None:
    node.unpack()

    ran = node.helper("lava-test-case", *arguments)

    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={recorded}>"
    assert warning in ran.stderr


@pytest.mark.parametrize(
    ("words", "name"), [(("two", "words"), "two words"), (("",), "unnamed"), ((), "unnamed")]
)
def test_reference_is_not_lost_for_its_name(node: Node, words: tuple[str, ...], name: str) -> None:
    node.unpack()

    ran = node.helper(
        "lava-test-reference", *words, "--result", "fail", "--reference", "https://lab/1"
    )

    assert ran.returncode == 0
    assert ran.stdout == (
        f"<LAVA_SIGNAL_TESTREFERENCE TEST_CASE_ID={name} RESULT=fail REFERENCE=https://lab/1>\n"
    )
    assert name in ran.stderr
