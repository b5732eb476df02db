# SPDX-License-Identifier: MIT
"""lava_command_run in real shells on a terminal that sends signals."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from lava_vmgroup.actions import lava_command_run
from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, TestError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import Login, reach_shell
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.job.model import Action, ConsoleWatch
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.results.model import Outcome
from lava_vmgroup.systems import command_run
from lava_vmgroup.systems.console_watch import NodeWatch
from lava_vmgroup.testshell.runs import RunRecorder

PASS, FAIL = Outcome.PASS, Outcome.FAIL

# A terminal that can send signals, as a board's has and a plain pseudo-terminal has not.
TERMINAL = "setsid --ctty --wait sh -c 'stty sane; PS1=\"root@board:~# \" exec {shell} -i'"


class ShellNode:
    """The action's view of a node: a shell, here one on this machine, and a recorder."""

    def __init__(self) -> None:
        self.log = NodeLog("board01")
        self.recorder = RunRecorder(self.log)
        self.token = CancelToken()
        self.watch = NodeWatch(ConsoleWatch(), self.token, self.recorder, self.log)
        self.shell: Shell

    def ensure_booted(self, deadline: Deadline) -> None:
        """The shell runs."""


SAYS = "printf '[   12.3456%s] %s\\n' 78 '{}'"
"""A command that says something as a kernel does."""


@contextmanager
def shell_node(folder: Path, program: str) -> Iterator[ShellNode]:
    stream = ProcessStream(TERMINAL.format(shell=program))
    node = ShellNode()
    with Console(stream, Recorder(folder / "console.log"), watch=node.watch) as console:
        soon = Deadline.after("the shell", 30.0)
        reach_shell(console, Login(test_image_prompts=["root@board:~# "]), soon)
        node.shell = Shell.prepare(console, soon)
        yield node


@pytest.fixture(params=["bash --norc --noprofile", "dash", "busybox sh"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShellNode]:
    with shell_node(tmp_path, request.param) as node:
        yield node


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[ShellNode]:
    with shell_node(tmp_path, "bash --norc --noprofile") as node:
        yield node


def run(node: ShellNode, *, limit_s: float = 60.0, **parameters: Any) -> None:
    action = Action(command="lava_command_run", parameters=parameters, place="actions[0]")
    lava_command_run.run(action, cast(Node, node), Deadline.after("the job", limit_s, node.token))


def cases(node: ShellNode) -> list[tuple[str, Outcome]]:
    return [(case.name, case.outcome) for run in node.recorder.runs for case in run.cases]


def test_each_command_is_a_test_case(bash: ShellNode) -> None:
    run(bash, commands=["true", "sh -c 'exit 3'"], iterations=2)

    (result,) = bash.recorder.runs
    assert result.name == "lava-command"
    assert result.finished
    assert cases(bash) == [("true", PASS), ("sh -c 'exit 3'", FAIL)] * 2
    assert [case.message for case in result.cases] == [None, "exit code 3"] * 2


def test_faults_on_the_console_fail_test_cases(bash: ShellNode) -> None:
    oops = SAYS.format("Oops: 0002 [#1] SMP")
    panic = f"{{ sleep 1; {SAYS.format('Kernel panic - not syncing: at last')}; }} &"

    with pytest.raises(TestError, match="kernel-panic in test case sleep 600: Kernel panic"):
        run(bash, commands=[oops, "sleep 1", panic, "sleep 600"])

    assert cases(bash) == [
        (oops, PASS),
        ("sleep 1", PASS),
        (panic, PASS),
        ("lava-console-oops", FAIL),
        ("sleep 600", FAIL),
    ]


def test_output_is_attached(bash: ShellNode) -> None:
    run(bash, commands=["echo one; echo two", "true"])

    (attachment,) = bash.recorder.runs[0].attachments
    assert attachment.mime_type == "text/plain"
    assert attachment.content == b"$ echo one; echo two\none\ntwo\n$ true\n"


def test_command_that_does_not_end_fails_and_the_next_one_runs(node: ShellNode) -> None:
    run(node, commands=["sleep 600", "echo still here", "cat", "true"], timeout=1.0)

    assert cases(node) == [
        ("sleep 600", FAIL),
        ("echo still here", PASS),
        ("cat", FAIL),
        ("true", PASS),
    ]
    (result,) = node.recorder.runs
    assert "timed out: the command 'sleep 600', limit 1 s" in str(result.cases[0].message)
    assert b"$ echo still here\nstill here\n" in result.attachments[0].content


def test_unfinished_line_of_shell_is_a_command_that_does_not_end(node: ShellNode) -> None:
    run(node, commands=["echo 'no end", "true"], timeout=1.0)

    assert cases(node) == [("echo 'no end", FAIL), ("true", PASS)]


def test_command_that_ignores_ctrl_c_is_ended_all_the_same(
    bash: ShellNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lava_vmgroup.console.shell._PROMPT_S", 4.0)

    run(bash, commands=["trap '' INT; sleep 600; trap - INT", "true"], timeout=0.5)

    assert cases(bash)[-1] == ("true", PASS)


def test_shell_that_does_not_come_back_is_a_broken_test(
    bash: ShellNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lava_vmgroup.console.shell._PROMPT_S", 0.3)

    with pytest.raises(TestError, match="did not come back after Ctrl-C"):
        run(bash, commands=["true", "stty -isig; sleep 600"], timeout=0.5)

    assert cases(bash) == [("true", PASS), ("stty -isig; sleep 600", Outcome.FAIL)]
    assert not bash.recorder.runs[0].finished


def test_end_of_the_job_is_not_the_commands_fault_and_keeps_what_was_recorded(
    bash: ShellNode,
) -> None:
    with pytest.raises(DeadlineExpired, match="timed out: the job"):
        run(bash, commands=["true", "sleep 600"], limit_s=3.0)

    assert cases(bash) == [("true", PASS)]
    assert not bash.recorder.runs[0].finished


def test_results_are_read_from_the_output(bash: ShellNode) -> None:
    command = "echo 'usb : PASS'; echo 'nothing'; echo 'net : fail'"

    run(bash, commands=[command])

    assert cases(bash) == [(command, PASS), ("usb", PASS), ("net", FAIL)]


def test_results_are_read_by_a_parser_of_ones_own(bash: ShellNode) -> None:
    run(
        bash,
        commands=["echo speed=10=Mb=OK"],
        parser=r"(?P<test_case_id>\w+)=(?P<measurement>\d+)=(?P<units>\w+)=(?P<result>\w+)",
        fixupdict=["OK:pass"],
    )

    case = bash.recorder.runs[0].cases[1]
    assert (case.name, case.outcome) == ("speed", PASS)
    assert (case.measurement, case.units) == ("10", "Mb")


def test_second_action_has_results_of_its_own(bash: ShellNode) -> None:
    run(bash, commands=["true"])
    run(bash, commands=["false"])

    first, second = bash.recorder.runs
    assert [case.name for case in first.cases] == ["true"]
    assert [case.name for case in second.cases] == ["false"]
    assert first.uuid != second.uuid


def test_commands_that_print_and_report_without_end_are_kept_up_to_a_limit(
    bash: ShellNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_run, "_MAX_LOG", 1000)
    monkeypatch.setattr(command_run, "MAX_RESULTS", 5)
    command = "for n in 1 2 3 4; do echo case-$n : PASS; done; seq 1000"

    run(bash, commands=[command], iterations=3)

    (result,) = bash.recorder.runs
    assert [case.name for case in result.cases][1:] == [f"case-{n}" for n in range(1, 5)]
    assert result.missing_records == 10
    (log,) = result.attachments
    assert len(log.content) == 1000


@pytest.mark.parametrize("command", ["exit 3", "kill -9 $$", "exec true"])
def test_command_that_ends_the_shell_fails_and_is_named(bash: ShellNode, command: str) -> None:
    with pytest.raises(TestError, match=re.escape(f"went away during the command {command!r}")):
        run(bash, commands=["true", command, "false"])

    assert cases(bash) == [("true", PASS), (command, FAIL)]
    assert not bash.recorder.runs[0].finished
