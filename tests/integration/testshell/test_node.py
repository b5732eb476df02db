# SPDX-License-Identifier: MIT
"""A node runs tests and brings back what they leave, also when they do not end well."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Canceled, DeadlineExpired, InfrastructureError, TestError
from lava_vmgroup.base.log import LOGGER
from lava_vmgroup.base.once import Once
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.settings import DEFAULT_BOOT, BootSettings
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.console.typed_files import TypedFiles
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.model import Action, ConsoleWatch, NodeJob
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.results.model import TestRun
from lava_vmgroup.systems.system import System
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.overlay import OverlayTest
from lava_vmgroup.testshell.events import MultiNodeApi, MultiNodeCall
from lava_vmgroup.vms.stored_file import StoredFile
from tests.support.scripted import silent_stream

LIMIT_S = 60.0


def never(confirm: object) -> None:
    raise AssertionError("a message waits for nobody")


class LocalSystem(System):
    """This machine as a booted system: a shell, and a folder for the tests."""

    broken = False

    def __init__(self, log: Recorder, deadline: Deadline) -> None:
        stream = ProcessStream("setsid --ctty --wait env PS1='# ' bash --norc --noprofile -i")
        with ExitStack() as resources:
            console = resources.enter_context(Console(stream, log))
            super().__init__(Shell.prepare(console, deadline))
            self.resources = resources.pop_all()

    def unpack(
        self, archive: bytes, directory: str, trees: Sequence[StoredFile], deadline: Deadline
    ) -> None:
        subprocess.run(["tar", "-xf", "-", "-C", "/"], input=archive, check=True, timeout=LIMIT_S)

    def collect(self, directory: str, deadline: Deadline) -> bytes:
        if self.broken:
            raise InfrastructureError("the disk is gone")
        pack = f"{directory}/bin/lava-pack-results {directory} 1000000"
        return TypedFiles(self.shell, directory).read(pack, 1 << 20, deadline)

    def records(self, deadline: Deadline) -> AbstractContextManager[ByteStream]:
        return silent_stream()


class LocalNode(Node):
    """This machine as a node."""

    waits_until: Deadline | None = None
    """Until when the node waits for others after its tests."""

    def deploy_image(
        self, image: Path, deadline: Deadline, pflash: Sequence[Path] = ()
    ) -> None: ...

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None: ...

    def message_sent(self, message_id: str) -> None: ...

    def finish(self, deadline: Deadline) -> None: ...

    def boot(self, deadline: Deadline, settings: BootSettings = DEFAULT_BOOT) -> None:
        self._system = LocalSystem(self.console_log, deadline)

    def test_shell_ended(self, deadline: Deadline) -> None:
        self.waits_until = deadline

    def close(self) -> None:
        self.system.close()

    def run(self, tests: list[OverlayTest], limit_s: float = LIMIT_S, **parameters: Any) -> TestRun:
        """Run tests; returns the run of the first one."""
        deadline = Deadline.after("the test shell", limit_s, self.token)
        directory = str(self.folder / "lava")
        self.run_tests(tests, deadline, directory=directory, **parameters)
        return self.recorder.runs[0]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LocalNode]:
    shared = SimpleNamespace(
        checkouts=Once(),
        output=tmp_path,
        coordinator=Endpoint(host="127.0.0.1", port=1),
        group=SimpleNamespace(
            target_group="group",
            settings=SimpleNamespace(logging_level="INFO", console_watch=ConsoleWatch()),
        ),
        lab=SimpleNamespace(
            dispatcher=DispatcherConfig(lava_server_ip="10.0.0.9", lava_proxy="http://lab:3128")
        ),
        console_copy=None,
    )
    job = NodeJob(
        target=None,
        role="host",
        device_type="board",
        is_host=True,
        sub_id="1.0",
        group_size=1,
        target_group="group",
        auto_start_vms=True,
        # There is always another one, so the group is not told that the tests have ended.
        actions=(Action(command="lava_test_shell", place="actions[0]"),) * 9,
    )
    node = LocalNode(job, "node", cast("Shared", shared), CancelToken(), DeviceConfig())
    node.members = [("node", "host")]
    node.ensure_booted(Deadline.after("boot", LIMIT_S))
    yield node
    node.close()


def smoke(*steps: str) -> OverlayTest:
    text = yaml.safe_dump(
        {
            "metadata": {"name": "smoke", "format": "1.0", "description": ""},
            "run": {"steps": list(steps)},
        }
    )
    return OverlayTest(definition=parse_definition(text, source="test"), uuid="uuid-0", source=text)


ATTACH = ("lava-test-case a --result pass", "echo x >note", "lava-test-run-attach note")


def names(run: TestRun) -> set[str]:
    return {attachment.pathname for attachment in run.attachments}


def test_what_tests_leave_is_in_their_run(node: LocalNode) -> None:
    run = node.run([smoke(*ATTACH)])

    assert {"note", "stdout.log", "run.sh"} <= names(run)
    assert run.finished


def test_steps_may_be_bashs_where_there_is_a_bash(node: LocalNode) -> None:
    run = node.run(
        [
            smoke(
                "words=(one two)",
                "lava-test-case steps --result $([[ ${words[1]} == two ]] && echo pass)",
                "lava-test-case shell --shell '[[ $UID -ge 0 ]]'",
            )
        ]
    )

    assert [(case.name, case.outcome.value) for case in run.cases] == [
        ("steps", "pass"),
        ("shell", "pass"),
    ]


def test_steps_learn_of_the_job(node: LocalNode) -> None:
    step = (
        'lava-test-case found --result pass --units "$LAVA_SERVER_IP" --measurement $REPEAT_COUNT'
    )

    run = node.run([smoke(step)], repeat_count=2)

    assert (run.cases[0].units, run.cases[0].measurement) == ("10.0.0.9", "2")


def test_steps_learn_of_the_proxy(node: LocalNode) -> None:
    run = node.run([smoke("lava-test-case a --shell 'test $http_proxy = http://lab:3128'")])

    assert run.cases[0].outcome.value == "pass"


def test_a_test_that_takes_too_long_keeps_what_it_left(node: LocalNode) -> None:
    with pytest.raises(DeadlineExpired, match="the test shell"):
        node.run([smoke(*ATTACH, "echo waiting; sleep 1000")], limit_s=4)

    (run,) = node.recorder.runs
    assert [case.name for case in run.cases] == ["a"]
    assert {"note", "stdout.log"} <= names(run)
    assert not run.finished


def test_a_test_that_raises_an_error_ends_the_job_and_keeps_what_it_left(node: LocalNode) -> None:
    with pytest.raises(TestError, match="the test raised an error: no network at all"):
        node.run([smoke(*ATTACH, "lava-test-raise no network at all")])

    (run,) = node.recorder.runs
    assert "note" in names(run)


def test_a_failure_to_collect_is_a_warning(
    node: LocalNode, caplog: pytest.LogCaptureFixture
) -> None:
    cast("LocalSystem", node.system).broken = True

    with caplog.at_level(logging.WARNING, LOGGER.name):
        run = node.run([smoke(*ATTACH)])

    assert [case.name for case in run.cases] == ["a"]
    assert run.finished
    assert "the files that the tests left are missing: the disk is gone" in caplog.text


def test_a_canceled_job_collects_nothing(node: LocalNode) -> None:
    node.token.cancel(Canceled("canceled", signal_number=2))

    with pytest.raises(Canceled):
        node.run([smoke(*ATTACH)])

    assert node.recorder.runs == ()


def test_no_test_may_speak_for_a_dispatcher(
    node: LocalNode, caplog: pytest.LogCaptureFixture
) -> None:
    call = MultiNodeCall(
        api=MultiNodeApi.SEND, message_id="lava_vm_host", arguments=("host=10.6.6.6",)
    )

    # The node's coordinator is not there, so a message that is sent would fail.
    assert node._answer(call, CancelToken(), Deadline.after("the answer", LIMIT_S), never) is None
    assert "no test may send lava_vm_host" in caplog.text
