# SPDX-License-Identifier: MIT
"""No verdict is lost for a word beside it, from the helper on a real terminal to the results."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lava_vmgroup.results.model import Outcome
from tests.integration.testshell.conftest import Node
from tests.integration.testshell.recorded import one, recorded, told
from tests.support.missing import need_root


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


def test_an_event_of_a_test_is_in_the_log(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "lava_vmgroup"):
        recorded(node, "lava-test-event 'half <done>'", "lava-test-event two words")

    kinds = {record.message: vars(record)["kind"] for record in caplog.records}
    assert (kinds["half _done_"], kinds["two words"]) == ("test-event", "test-event")


def test_passed_install_steps_are_recorded_as_in_lava_v1(node: Node) -> None:
    run = recorded(node, "lava-test-case a --result pass", install=("true",))

    assert told(run) == [("lava-test-shell-install", Outcome.PASS), ("a", Outcome.PASS)]


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


def test_name_of_a_path_is_recorded_once(node: Node) -> None:
    run = recorded(
        node,
        "lava-test-case /dev/kvm --result pass",
        "lava-test-case //a/b --shell false",
        "echo text >note.txt; lava-test-case-attach /dev/kvm note.txt",
    )

    assert told(run) == [("/dev/kvm", Outcome.PASS), ("//a/b", Outcome.FAIL)]
    assert [kept.pathname for kept in one(run, "/dev/kvm").attachments] == ["note.txt"]


def test_verdict_of_a_function_of_the_step_is_its_own(node: Node) -> None:
    run = recorded(
        node,
        """
        present() { lava-test-case "present-$1" --shell test -n "$2"; }
        report() { lava-test-case "$1" --result "$2"; }
        present serial ""
        present model x
        report net fail
        """,
    )

    assert told(run) == [
        ("present-serial", Outcome.FAIL),
        ("present-model", Outcome.PASS),
        ("net", Outcome.FAIL),
    ]


def test_verdict_of_another_user_is_recorded_though_its_output_is_not_shown() -> None:
    need_root()
    words = "lava-test-case user --shell false >/dev/null 2>&1; lava-test-case me --result pass"
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        run = recorded(
            Node(Path(folder), Path("/bin/sh"), os.defpath),
            f"setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '{words}'",
            "lava-test-case root --result pass",
        )

    assert told(run) == [
        ("user", Outcome.FAIL),
        ("me", Outcome.PASS),
        ("root", Outcome.PASS),
    ]
