# SPDX-License-Identifier: MIT
"""lava-test-runner runs an overlay on a terminal, under every shell a node may have."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import yaml

from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testdefs.tree import TreeEntry
from lava_vmgroup.testshell import events
from lava_vmgroup.testshell.records import Place, enveloped
from tests.integration.testshell.definitions import definition

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

HOSTILE = 'it\'s; $(touch made-by-parameter) `touch made-too` "q" \\n *  $HOME'


def test_a_whole_run_is_told_by_lavas_markers_in_order(node: Node) -> None:
    node.unpack(
        definition(
            "smoke",
            "echo plain output",
            "lava-test-case shell --shell test 1 = 1",
            "lava-test-case number --result fail --units s --measurement 1.5",
            install=("echo installing",),
        )
    )

    finished = node.run_tests()

    assert finished.status == 0
    assert finished.markers == [
        "<LAVA_TEST_RUNNER>: started",
        f"<LAVA_TEST_RUNNER>: looking for work in {node.directory}/lava-test-runner.conf",
        "<LAVA_TEST_RUNNER>: running 0_uuid-0 installer ...",
        "<LAVA_TEST_RUNNER>: save hardware/software context info for 0_uuid-0...",
        "<LAVA_TEST_RUNNER>: running 0_uuid-0 under lava-test-shell...",
        "<LAVA_SIGNAL_STARTRUN smoke uuid-0>",
        "<LAVA_SIGNAL_STARTTC shell>",
        "<LAVA_SIGNAL_ENDTC shell>",
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=shell RESULT=pass>",
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=number RESULT=fail UNITS=s MEASUREMENT=1.5>",
        "<LAVA_SIGNAL_ENDRUN smoke uuid-0>",
        "<LAVA_TEST_RUNNER>: 0_uuid-0 exited with: 0",
        "<LAVA_MULTI_NODE> <LAVA_SETTLE>",
        "<LAVA_TEST_RUNNER>: calling sync on device",
        "<LAVA_TEST_RUNNER>: exiting lava-test-runner",
    ]
    assert "plain output" in finished.lines


def test_the_markers_are_understood_by_the_dispatcher(node: Node) -> None:
    node.unpack(definition("smoke", "printf unfinished", "lava-test-case a --result skip"))

    finished = node.run_tests()

    assert finished.events == [
        events.RunnerStarted(),
        events.StartRun(name="smoke", uuid="uuid-0"),
        events.TestCaseSignal(test_case_id="a", result=Outcome.SKIP, reported="skip"),
        events.EndRun(name="smoke", uuid="uuid-0"),
        events.TestExited(directory="0_uuid-0", return_code=0),
        events.RunnerExited(),
    ]


def test_the_results_have_lavas_layout(node: Node) -> None:
    text = definition(
        "smoke",
        "echo to output; echo to errors >&2",
        "lava-test-case a --result pass --units s --measurement 2",
        "lava-test-case b/c --shell false",
        install=("echo installing",),
    )
    node.unpack(text)

    node.run_tests()

    found = node.result_directory(0)
    assert {str(path.relative_to(found)) for path in found.rglob("*") if path.is_file()} - {
        "hwcontext/board.txt"  # not every machine has a name
    } == {
        "testdef.yaml",
        "testdef_metadata",
        "analyzer_assigned_uuid",
        "stdout.log",
        "return_code",
        "install_return_code",
        "attachments/run.sh",
        "attachments/install.sh",
        "hwcontext/cpuinfo.txt",
        "hwcontext/meminfo.txt",
        "swcontext/build.txt",
        "swcontext/pkgs.txt",
        "results/a/result",
        "results/a/units",
        "results/a/measurement",
        "results/b/c/begun",
        "results/b/c/result",
        "records/last",
        *(f"records/{number}" for number in range(1, 7)),
    }
    assert found.name.removeprefix("0_uuid-0-").isdigit()
    assert (found / "testdef.yaml").read_text() == text
    assert (found / "analyzer_assigned_uuid").read_text() == "uuid-0\n"
    assert (found / "return_code").read_text() == "0\n"
    assert (found / "install_return_code").read_text() == "0\n"
    assert (found / "results/a/result").read_text() == "pass\n"
    assert (found / "results/a/units").read_text() == "s\n"
    assert (found / "results/a/measurement").read_text() == "2\n"
    assert (found / "results/b/c/result").read_text() == "fail\n"


def test_what_a_test_prints_is_kept_and_shown(node: Node) -> None:
    node.unpack(
        definition("smoke", "echo to output", "echo to errors >&2", install=("echo installing",))
    )

    finished = node.run_tests()

    log = (node.result_directory(0) / "stdout.log").read_text().splitlines()
    assert [line for line in log if not line.startswith("+")] == [
        "installing",
        enveloped(Place(0, 1), "<LAVA_SIGNAL_STARTRUN smoke uuid-0>"),
        "to output",
        "to errors",
        enveloped(Place(0, 2), "<LAVA_SIGNAL_ENDRUN smoke uuid-0>"),
    ]
    assert set(log) <= set(finished.lines)


def test_a_failing_step_ends_its_test_but_not_the_next(node: Node) -> None:
    node.unpack(definition("first", "(exit 3)", "echo after"), definition("second", "echo more"))

    finished = node.run_tests()

    assert finished.events == [
        events.RunnerStarted(),
        events.StartRun(name="first", uuid="uuid-0"),
        events.TestExited(directory="0_uuid-0", return_code=3),
        events.StartRun(name="second", uuid="uuid-1"),
        events.EndRun(name="second", uuid="uuid-1"),
        events.TestExited(directory="1_uuid-1", return_code=0),
        events.RunnerExited(),
    ]
    assert "after" not in finished.lines
    assert (node.result_directory(0) / "return_code").read_text() == "3\n"


def test_a_program_that_a_test_leaves_running_does_not_hold_the_next_test(node: Node) -> None:
    pid = node.root / "pid"
    node.unpack(
        definition("server", f"sleep 1000 & echo $! >{pid}"),
        definition("client", f"echo told; kill $(cat {pid})", "lava-test-case next --result pass"),
    )

    finished = node.run_tests()

    words = (
        "lava-test-shell: a program that the test left running holds its output; the tests go on"
    )
    assert finished.lines.count(words) == 1
    assert finished.lines.index(words) < finished.lines.index("told")
    cases = [event for event in finished.events if isinstance(event, events.TestCaseSignal)]
    assert [case.test_case_id for case in cases] == ["next"]


def test_a_failing_installer_skips_its_test_but_not_the_next(node: Node) -> None:
    node.unpack(
        definition("first", "echo tested", install=("(exit 4)", "echo installed")),
        definition("second", "echo more"),
    )

    finished = node.run_tests()

    assert finished.events[:3] == [
        events.RunnerStarted(),
        events.InstallFailed(directory="0_uuid-0"),
        events.StartRun(name="second", uuid="uuid-1"),
    ]
    assert "<LAVA_TEST_RUNNER>: 0_uuid-0 installer failed, skipping" in finished.markers
    assert not {"tested", "installed"} & set(finished.lines)
    found = node.result_directory(0)
    assert (found / "install_return_code").read_text() == "4\n"
    assert not (found / "return_code").exists()


def test_a_tests_standard_input_is_the_console(node: Node) -> None:
    node.unpack(
        definition("first", "test -t 0", 'read -r line; echo "got $line"'),
        definition("second", 'read -r line; echo "got $line"'),
    )

    finished = node.run_tests(
        lambda event: f"hello {event.name}" if isinstance(event, events.StartRun) else None
    )

    assert [line for line in finished.lines if line.startswith("got")] == [
        "got hello first",
        "got hello second",
    ]


def test_nothing_is_run_again_after_a_reboot(node: Node) -> None:
    node.unpack(definition("smoke", "echo tested"))
    node.run_tests()

    again = node.run_tests()

    assert again.events == [events.RunnerStarted(), events.RunnerExited()]
    assert "tested" not in again.lines
    assert not (node.directory / "lava-test-runner.conf").exists()


def test_a_test_that_kills_the_system_is_not_in_the_list_of_work_any_more(node: Node) -> None:
    work = node.directory / "lava-test-runner.conf"
    node.unpack(definition("smoke", f"test ! -e {work}"))

    finished = node.run_tests()

    assert events.TestExited(directory="0_uuid-0", return_code=0) in finished.events


def test_a_new_overlay_replaces_the_work_of_the_old(node: Node) -> None:
    node.unpack(definition("old", "echo old test"), definition("older", "echo older test"))
    node.unpack(definition("new", "echo new test"))

    finished = node.run_tests()

    assert "new test" in finished.lines
    assert not {"old test", "older test"} & set(finished.lines)


def test_hostile_parameters_are_only_values(node: Node) -> None:
    step = 'printf "%s\\n" "$VALUE" >value.txt'
    node.unpack(definition("smoke", step, install=(step,)), parameters={"VALUE": HOSTILE})

    finished = node.run_tests()

    assert events.TestExited(directory="0_uuid-0", return_code=0) in finished.events
    assert (node.directory / "tests/0_uuid-0/value.txt").read_text() == f"{HOSTILE}\n"
    assert not list(node.root.rglob("made-*"))


def test_steps_see_what_lava_gives_them(node: Node) -> None:
    node.unpack(
        definition(
            "smoke",
            'echo "id $TESTRUN_ID in $PWD"',
            "sh -c 'echo \"child $TESTRUN_ID $LAVA_RESULT_DIR $_LAVA_VM_GROUP_HOST_IP\"'",
            "command -v lava-test-case",
            "lava-test-case arguments --shell \"echo x y | awk '{print $2}' >second.txt\"",
        ),
        host_ip="10.0.0.1",
    )

    finished = node.run_tests()

    assert f"id smoke in {node.directory}/tests/0_uuid-0" in finished.lines
    assert f"child smoke {node.result_directory(0)} 10.0.0.1" in finished.lines
    assert f"{node.bin}/lava-test-case" in finished.lines
    assert (node.directory / "tests/0_uuid-0/second.txt").read_text() == "y\n"


def test_a_trace_of_the_steps_is_not_taken_for_markers(node: Node) -> None:
    node.unpack(definition("smoke", "set -x", "lava-test-case a --shell true"))

    finished = node.run_tests()

    assert [type(event).__name__ for event in finished.events] == [
        "RunnerStarted",
        "StartRun",
        "StartTestCase",
        "EndTestCase",
        "TestCaseSignal",
        "EndRun",
        "TestExited",
        "RunnerExited",
    ]


def test_the_last_words_are_said_when_the_runner_is_told_to_end(node: Node) -> None:
    # As an interrupt key does, the signal goes to the whole group, which the runner leads.
    node.unpack(definition("smoke", "kill -s TERM 0", "read -r line"))

    finished = node.run_tests()

    assert finished.events[-1] == events.RunnerReturned(status=128 + signal.SIGTERM)
    assert finished.status == 128 + signal.SIGTERM


def test_tests_run_without_a_directory_given(node: Node) -> None:
    node.unpack(definition("smoke", "echo tested"))

    ran = node.helper("lava-test-runner")

    assert ran.returncode == 0
    assert "tested" in ran.stdout.splitlines()
    assert ran.stdout.splitlines()[-1] == "<LAVA_TEST_RUNNER>: exiting lava-test-runner"


def test_a_repositorys_files_are_in_the_tests_directory(node: Node) -> None:
    node.unpack(
        definition("smoke", "./bin/tool", "cat link", install=("test -x bin/tool",)),
        files=(
            TreeEntry(path="bin/tool", content=b"#!/bin/sh\necho tool runs\n", executable=True),
            TreeEntry(path="data/text", content=b"text of link\n"),
            TreeEntry(path="link", link="data/text"),
        ),
    )

    finished = node.run_tests()

    assert {"tool runs", "text of link"} <= {*finished.lines}
    assert events.TestExited(directory="0_uuid-0", return_code=0) in finished.events


def test_packages_of_the_nodes_own_distribution_are_installed_too(node: Node) -> None:
    tools = node.root / "first"
    tools.mkdir()
    (tools / "apt-get").write_text(f'#!{node.shell}\necho "apt-get $*"\n')
    (tools / "apt-get").chmod(0o755)
    node.environment["PATH"] = f"{tools}:{node.environment['PATH']}"
    node.unpack()
    distro = node.helper("lava-distro").stdout.strip()
    install = {"deps": ["one"], f"deps-{distro}": ["two", "three"], "deps-other": ["four"]}
    content = yaml.safe_load(definition("smoke", 'echo "type $TARGET_TYPE with $# arguments"'))
    node.unpack(yaml.safe_dump(content | {"install": install}))

    finished = node.run_tests()

    assert "apt-get install -y -q one two three" in finished.lines
    assert f"type {distro} with 0 arguments" in finished.lines
