# SPDX-License-Identifier: MIT
"""A test shell's session with a real shell, where the runner does not do what it should."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import TestError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console import events
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import Login, reach_shell
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.testshell.calls import GroupSide
from lava_vmgroup.testshell.runs import RunRecorder
from lava_vmgroup.testshell.session import Session

STARTED = "echo '<LAVA_TEST_RUNNER>: started'"


def soon() -> Deadline:
    return Deadline.after("the test", 20.0)


@pytest.fixture(params=["dash -i", "busybox sh -i"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    stream = ProcessStream(f"env PS1='root@board:~# ' {request.param}")
    with Console(stream, Recorder(tmp_path / "log")) as console:
        reach_shell(console, Login(test_image_prompts=["root@board:~# "]), soon())
        shell = Shell.prepare(console, soon())
        log = NodeLog("vm1")
        yield Session(shell, RunRecorder(log), GroupSide(lambda *_: None), log)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("/lava-vm1/bin/lava-test-runner /lava-vm1", 127),
        (f'sh -c "{STARTED}; kill -KILL \\$\\$"', 137),
    ],
)
def test_runner_that_is_not_there_or_is_killed_ends_the_session(
    session: Session, command: str, status: int
) -> None:
    with pytest.raises(TestError, match=f"ended with status {status} before its tests did"):
        session.run(command, soon())


def test_runner_that_says_its_last_words_ends_well(session: Session) -> None:
    session.run(f"sh -c \"{STARTED}; echo '<LAVA_TEST_RUNNER>: exiting runner'\"", soon())


def test_login_prompt_in_the_midst_of_a_test_is_named(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "QUIET_S", 0.02)
    login = "while :; do printf '\\nboard login: '; read name || exit; done"

    with pytest.raises(TestError, match="went away.*the console shows a login prompt"):
        session.run(f'exec sh -c "{login}"', soon())


def test_words_of_a_login_in_a_test_are_no_login(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "QUIET_S", 0.02)
    waiting = "printf 'other login: '; sleep 0.3; echo '<LAVA_TEST_RUNNER>: exiting runner'"

    session.run(f'sh -c "{waiting}"', soon())
