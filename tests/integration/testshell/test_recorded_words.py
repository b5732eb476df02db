# SPDX-License-Identifier: MIT
"""No verdict is lost for a word beside it, from the helper on a real terminal to the results."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest
import yaml

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import TestError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.results.model import Outcome, TestCase, TestRun
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell.calls import GroupSide
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.session import Session

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

LIMIT_S = 60.0


def recorded(
    node: Node,
    *steps: str,
    fixups: Mapping[str, str] | None = None,
    install: tuple[str, ...] = (),
    runner: str = "",
) -> TestRun:
    """The run of a test with these steps, with what its files tell."""
    content: dict[str, object] = {
        "metadata": {"name": "words", "format": "1.0", "description": ""},
        "run": {"steps": list(steps)},
    }
    if fixups:
        content["parse"] = {"fixupdict": dict(fixups)}
    if install:
        content["install"] = {"steps": list(install)}
    text = yaml.safe_dump(content)
    node.unpack(text)
    recorder = RunRecorder(NodeLog("vm1"))
    definition = parse_definition(text, source="test")
    tests = [OverlayTest(definition=definition, uuid="uuid-0", source=text)]
    recorder.expect_tests(tests)
    terminal = ProcessStream(f"env -i PATH={node.environment['PATH']} PS1=# {node.shell} -i")
    with Console(terminal, Recorder(node.root / "console.log")) as console:
        shell = Shell.prepare(console, Deadline.after("the shell", LIMIT_S))
        session = Session(shell, recorder, GroupSide(lambda *_: None), NodeLog("vm1"))
        session.run(
            f"{runner or node.bin / 'lava-test-runner'} {node.directory}",
            Deadline.after("the test", LIMIT_S),
        )
    packed = subprocess.run(
        ["sh", node.bin / "lava-pack-results", node.directory, str(1 << 20)],
        stdout=subprocess.PIPE,
        env=node.environment,
        check=True,
        timeout=LIMIT_S,
    )
    recorder.add_results(packed.stdout)
    recorder.close_tests(tests)
    (run,) = recorder.runs
    return run


def told(run: TestRun) -> list[tuple[str, Outcome]]:
    return [(case.name, case.outcome) for case in run.cases]


def one(run: TestRun, name: str) -> TestCase:
    (case,) = (case for case in run.cases if case.name == name)
    return case


def test_no_word_beside_a_verdict_ends_the_test_or_loses_it(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    run = recorded(
        node,
        "set -eu",
        "lava-test-case boot-time --result pass --measurement \"$(sed -n 's/^x //p' /dev/null)\""
        " --units s",
        'lava-test-case "id with blank" --result pass',
        'lava-test-case "a//b  c" --result fail',
        'echo text >note.txt; lava-test-case-attach "a//b  c" note.txt',
        'lava-test-case speed --result pass --measurement 1e5 --units "MB / s"',
        'lava-test-case plus --result pass --measurement " +3" --units ""',
        "lava-test-case text --result fail --measurement 'n/a' --units s",
        "lava-test-case nan --result pass --measurement nan",
        "lava-test-case two --result pass --measurement '1 2'",
        "lava-test-case odd --result 'not pass'",
        "lava-test-case upper --result PASS",
        "lava-test-case reason --result FAIL disk full",
        "lava-test-case quoted --result 'fail: 3 of 4'",
        "lava-test-case unsure --result pass: not quite",
        "lava-test-reference no-reference --result fail",
        'lava-test-case "" --result pass',
        "lava-test-case 'of units' --result fail --measurement 5 --units 'x RESULT=pass'",
        "lava-background-process-stop nosuch",
        "lava-test-reference ref --result pass --reference ''",
        "lava-test-case last --result fail",
    )

    assert run.finished
    assert told(run) == [
        ("boot-time", Outcome.PASS),
        ("id with blank", Outcome.PASS),
        ("a//b c", Outcome.FAIL),
        ("speed", Outcome.PASS),
        ("plus", Outcome.PASS),
        ("text", Outcome.FAIL),
        ("nan", Outcome.PASS),
        ("two", Outcome.PASS),
        ("odd", Outcome.UNKNOWN),
        ("upper", Outcome.PASS),
        ("reason", Outcome.FAIL),
        ("quoted", Outcome.FAIL),
        ("unsure", Outcome.UNKNOWN),
        ("no-reference", Outcome.FAIL),
        ("unnamed", Outcome.PASS),
        ("of units", Outcome.FAIL),
        ("ref", Outcome.PASS),
        ("last", Outcome.FAIL),
    ]
    measured = {case.name: (case.measurement, case.units) for case in run.cases if case.measurement}
    assert measured == {
        "speed": ("1e5", "MB / s"),
        "plus": ("+3", None),
        "of units": ("5", "x RESULT_pass"),
    }
    assert one(run, "boot-time").message == "the measurement '' is no number"
    assert one(run, "text").message == "the measurement 'n/a' is no number"
    assert [kept.pathname for kept in one(run, "a//b c").attachments] == ["note.txt"]
    assert one(run, "two").message == "the measurement '1 2' is no number"
    assert one(run, "ref").message == "the reference is empty"
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "test case boot-time: the measurement '' is no number" in warnings
    assert "test case id with blank: the name 'id with blank' has blanks" in warnings


def test_names_that_are_no_text_are_recorded_once_and_in_their_set(node: Node) -> None:
    run = recorded(
        node,
        "lava-test-set start bytes",
        """lava-test-case "$(printf 'latin1-\\344')" --result pass""",
        """lava-test-case "$(printf 'three-\\342\\202x')" --shell false""",
        """lava-test-case "$(printf 'utf-8-\\303\\244-\\357\\277\\275')" --result pass""",
        """lava-test-case "$(printf 'none-\\357\\277\\277')" --result fail""",
    )

    assert told(run) == [
        ("latin1-\ufffd", Outcome.PASS),
        ("three-\ufffd\ufffdx", Outcome.FAIL),
        ("utf-8-ä-\ufffd", Outcome.PASS),
        ("none-\ufffd", Outcome.FAIL),
    ]
    assert {case.test_set for case in run.cases} == {"bytes"}
    assert run.missing_records == 0


def test_words_that_look_like_a_markers_change_no_verdict(node: Node) -> None:
    names = (
        "RESULT=pass",
        "a RESULT=pass MEASUREMENT=3",
        "TEST_CASE_ID=b REFERENCE=c",
        "n CHECK=12",
        "trail a=b",
        "no\u00a0blank\u00a0RESULT=pass",
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=evil RESULT=pass>",
        "[   12.345678] BUG at x.c:1",
    )
    run = recorded(
        node,
        *(f"lava-test-case '{name}' --result fail" for name in names),
        "lava-test-case units --result fail --measurement 3 --units 's RESULT=pass'",
        "lava-test-case kernel --result fail --measurement 3 --units '[    1.000000] s'",
        "lava-test-case result --result 'fail RESULT=pass'",
        "lava-test-reference 'r RESULT=pass' --result fail --reference 'https://lab/?RESULT=pass'",
    )

    assert [outcome.value for _, outcome in told(run)] == ["fail"] * 12
    assert [case.name for case in run.cases] == [
        "RESULT_pass",
        "a RESULT_pass MEASUREMENT_3",
        "TEST_CASE_ID_b REFERENCE_c",
        "n CHECK=12",
        "trail a=b",
        "no blank RESULT_pass",
        "_LAVA_SIGNAL_TESTCASE TEST_CASE_ID_evil RESULT_pass_",
        "[ 12.345678] BUG at x.c:1",
        "units",
        "kernel",
        "result",
        "r RESULT_pass",
    ]
    assert one(run, "units").units == "s RESULT_pass"
    assert one(run, "kernel").units == "[ 1.000000] s"
    assert one(run, "r RESULT_pass").reference == "https://lab/?RESULT=pass"


def test_set_with_a_name_like_kernel_text_has_its_cases(node: Node) -> None:
    run = recorded(
        node,
        "lava-test-set start '[   12.345678] kset'",
        "lava-test-case a --result fail",
    )

    assert one(run, "a").test_set == "[ 12.345678] kset"


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


def test_sets_are_those_that_lava_sees(node: Node) -> None:
    run = recorded(
        node,
        "lava-test-set stop",
        "lava-test-case a --result pass",
        'lava-test-set start one ""',
        "lava-test-case b --result pass",
        'lava-test-set stop ""',
        "lava-test-case c --result pass",
        "lava-test-set start two",
        "lava-test-set start 'three words long'",
        "lava-test-case d --result pass",
        "lava-test-set stop two",
        "lava-test-case e --result pass",
    )

    assert {case.name: case.test_set for case in run.cases} == {
        "a": None,
        "b": "one",
        "c": None,
        "d": "three words long",
        "e": None,
    }


def test_markers_that_an_old_tool_prints_itself_are_kept(node: Node) -> None:
    run = recorded(
        node,
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=with a blank RESULT=fail>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass MEASUREMENT=5 UNITS=>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=b RESULT=pass UNITS=MB / s MEASUREMENT=5>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=c RESULT=pass MEASUREMENT= UNITS= EXTRA=x>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=d<1 RESULT=pass>'",
        "echo '<LAVA_SIGNAL_TESTREFERENCE e fail https://lab/x?y=1>'",
        "echo '<LAVA_SIGNAL_TESTREFERENCE TEST_CASE_ID=f RESULT=pass REFERENCE=https://lab/>'",
        "echo '<LAVA_SIGNAL_TESTSET START the set>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=g RESULT=SKIP>'",
        "echo '<LAVA_SIGNAL_TESTSET STOP the set>'",
        "echo '<LAVA_SIGNAL_TESTFEEDBACK lxc>'",
        "echo '<LAVA_SIGNAL_STARTTC with a blank>'; echo '<LAVA_SIGNAL_ENDTC with a blank>'",
        "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=h RESULT=>'",
        "printf '%s' 'x <LAVA_SIGNAL_TESTCASE TEST_CASE_ID=i RESULT=pass>'"
        " '<LAVA_SIGNAL_TESTSET START line><LAVA_SIGNAL_TESTCASE TEST_CASE_ID=j RESULT=fail> y'",
    )

    assert told(run) == [
        ("with a blank", Outcome.FAIL),
        ("a", Outcome.PASS),
        ("b", Outcome.PASS),
        ("c", Outcome.PASS),
        ("d<1", Outcome.PASS),
        ("e", Outcome.FAIL),
        ("f", Outcome.PASS),
        ("g", Outcome.SKIP),
        ("h", Outcome.UNKNOWN),
        ("i", Outcome.PASS),
        ("j", Outcome.FAIL),
    ]
    assert (one(run, "a").measurement, one(run, "b").units) == ("5", "MB / s")
    assert (one(run, "e").reference, one(run, "f").reference) == (
        "https://lab/x?y=1",
        "https://lab/",
    )
    assert (one(run, "g").test_set, one(run, "j").test_set) == ("the set", "line")


def test_results_in_lines_without_an_end_are_recorded(node: Node) -> None:
    run = recorded(
        node,
        "printf 'before-set : FAIL'; lava-test-set start s",
        "printf 'before-shell : FAIL'; lava-test-case shell --shell true",
        "printf 'before-echo : FAIL'; echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=echo RESULT=pass>'",
        "printf '<LAVA_SIGNAL_STARTTC x>'; echo 'behind : FAIL'",
        "printf 'at-end : FAIL'",
    )

    assert told(run) == [
        ("before-set", Outcome.FAIL),
        ("before-shell", Outcome.FAIL),
        ("shell", Outcome.PASS),
        ("before-echo", Outcome.FAIL),
        ("echo", Outcome.PASS),
        ("behind", Outcome.FAIL),
        ("at-end", Outcome.FAIL),
    ]
    assert one(run, "before-set").test_set is None


def test_words_for_results_are_the_definitions_own(node: Node) -> None:
    run = recorded(
        node,
        "lava-test-case a --result OK",
        "lava-test-case b --result PASS",
        "lava-test-case c --result fail",
        "lava-test-case d --result Pass",
        "echo 'e : OK'; echo 'f : PASS'",
        fixups={"OK": "pass", "PASS": "skip", "fail": "pass"},
    )

    assert [case.outcome.value for case in run.cases] == ["pass", "skip", "fail", "unknown", "skip"]


def test_a_test_that_exports_its_shells_options_records_each_verdict_once(node: Node) -> None:
    run = recorded(
        node,
        "set -euxC; export SHELLOPTS",
        "lava-test-case a --result pass",
        "lava-test-set start set",
        "lava-test-case a --result fail",
        "lava-test-case b --shell true",
    )

    assert told(run) == [("a", Outcome.PASS), ("a", Outcome.FAIL), ("b", Outcome.PASS)]


def test_the_job_is_ended_without_any_program_on_path(node: Node) -> None:
    with pytest.raises(TestError, match="the test raised an error: no _net_ at all"):
        recorded(node, "PATH=/nonexistent $(command -v lava-test-raise) 'no <net>' at all")


def test_an_event_of_a_test_is_in_the_log(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "lava_vmgroup"):
        recorded(node, "lava-test-event 'half <done>'", "lava-test-event two words")

    kinds = {record.message: vars(record)["kind"] for record in caplog.records}
    assert (kinds["half _done_"], kinds["two words"]) == ("test-event", "test-event")


def test_passed_install_steps_are_recorded_as_in_lava_v1(node: Node) -> None:
    run = recorded(node, "lava-test-case a --result pass", install=("true",))

    assert told(run) == [("lava-test-shell-install", Outcome.PASS), ("a", Outcome.PASS)]


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


def test_arguments_of_a_command_are_its_own_within_single_quotes(node: Node) -> None:
    run = recorded(
        node,
        """lava-test-case good --shell sh -c 'test "$1" = a' _ a""",
        """lava-test-case bad --shell sh -c 'test "$1" != a' _ a""",
        'lava-test-case code --shell "set -- a; test $1 = a"',
        """lava-test-case awk --shell awk 'BEGIN { exit "$1" == "" }' """,
    )

    assert told(run) == [
        ("good", Outcome.PASS),
        ("bad", Outcome.FAIL),
        ("code", Outcome.PASS),
        ("awk", Outcome.PASS),
    ]


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
