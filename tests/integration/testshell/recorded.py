# SPDX-License-Identifier: MIT
"""Tests on a real terminal, and the run that the dispatcher records of them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING

import yaml

from lava_vmgroup.base.deadline import Deadline
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
