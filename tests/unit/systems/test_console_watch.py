# SPDX-License-Identifier: MIT
"""A system is asked for its kernel's clock, and is up only if its boot has shown no emergency."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.job.model import ConsoleWatch
from lava_vmgroup.systems.console_watch import NodeWatch
from lava_vmgroup.testshell.runs import RunRecorder


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@pytest.fixture
def watch() -> NodeWatch:
    log = NodeLog("board01")
    return NodeWatch(ConsoleWatch(), CancelToken(), RunRecorder(log), log)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with Console(ProcessStream("bash --norc -i"), Recorder(tmp_path / "log")) as console:
        yield Shell.prepare(console, soon())


@pytest.mark.parametrize(
    ("answer", "faults"), [("5.00 9.00\nY", 0), ("5.00 9.00\nN", 1), ("No such file", 1)]
)
def test_words_without_a_time_stamp_are_the_kernels_only_if_it_writes_none(
    watch: NodeWatch, shell: Shell, answer: str, faults: int
) -> None:
    shell.run(f"cat() {{ printf '%s\\n' '{answer}'; }}", soon())

    watch.came_up(shell, soon())
    watch.feed(b"BUG: sleeping function called from invalid context at kernel/x.c:5\r\n")
    watch.settle()

    assert len(watch.faults) == faults


def test_system_in_its_emergency_shell_does_not_come_up(watch: NodeWatch, shell: Shell) -> None:
    watch.expect_boot(ramdisk_is_system=False)
    watch.feed(b"Press Enter for maintenance\r\n(or press Control-D to continue): ")

    with pytest.raises(InfrastructureError, match="no-root: Press Enter for maintenance") as caught:
        watch.came_up(shell, soon())
    assert "fstab" in str(caught.value.hint)
