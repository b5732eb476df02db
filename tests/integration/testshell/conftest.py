# SPDX-License-Identifier: MIT
"""A node that is a folder: an overlay unpacked into it, run by a real shell on a real terminal."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.job.reference import FileReference
from lava_vmgroup.testdefs.definition import parse_definition
from lava_vmgroup.testdefs.loading import DefinitionLoader
from lava_vmgroup.testdefs.overlay import OverlaySpec, OverlayTest, build_overlay
from lava_vmgroup.testdefs.tree import Tree
from lava_vmgroup.testshell.events import Event, MultiNodeCall, Recorded, Settle
from lava_vmgroup.testshell.records import enveloped, find_record
from lava_vmgroup.testshell.replies import Reply, reply_sent, reply_settle
from lava_vmgroup.testshell.signals import SignalParser
from tests.integration.testshell.system import few_tools
from tests.support.repositories import Repository

__all__ = ["few_tools"]

LIMIT_S = 60.0
PACKAGES = {"bash": "bash", "dash": "dash", "busybox": "busybox-static"}
GROUP = (("board", "host"), ("vm1", "client"), ("vm2", "client"))

Answer = Callable[[Event], Reply | None]
"""The line, without its end, that the dispatcher types after an event, or None."""


@dataclass
class Finished:
    """The output, the events and the status of a program that ran on a terminal."""

    output: str = ""
    events: list[Event] = field(default_factory=list)
    status: int | None = None

    @property
    def lines(self) -> list[str]:
        """The lines as they were printed."""
        return self.output.replace("\r\n", "\n").splitlines()

    @property
    def markers(self) -> list[str]:
        """The lines that begin with a marker, without the number and check of records."""
        lines = [record.text if (record := find_record(line)) else line for line in self.lines]
        typed = "_COMPLETE"  # the terminal shows what is typed
        return [line for line in lines if line.startswith("<LAVA_") and typed not in line]


class Node:
    """A folder with a shell, the shell's own tools on PATH, and an overlay."""

    def __init__(self, root: Path, shell: Path, path: str) -> None:
        self.root = root
        self.shell = shell
        self.directory = root / "lava"
        self.bin = self.directory / "bin"
        self.results = self.directory / "results"
        self.cache = root / "cache.txt"
        self.environment = {"PATH": path, "LAVA_SHELL": str(shell)}

    def unpack(
        self,
        *definitions: str,
        parameters: dict[str, str] | None = None,
        host_ip: str | None = None,
        debug: bool = False,
        files: Tree = (),
        records_file: str = "",
    ) -> None:
        """Unpack an overlay whose tests have the UUIDs uuid-0, uuid-1 and so on."""
        spec = OverlaySpec(
            node="vm1",
            role="client",
            group=GROUP,
            lava_test_dir=str(self.directory),
            host_ip=host_ip,
            is_host=host_ip is not None,
            shell=str(self.shell),
            steps_shell=str(self.shell),
            debug=debug,
            multi_node_cache=str(self.cache),
            records_file=records_file,
            tests=[
                OverlayTest(
                    definition=parse_definition(text, source="test"),
                    uuid=f"uuid-{index}",
                    source=text,
                    parameters=parameters or {},
                    files=files,
                )
                for index, text in enumerate(definitions)
            ],
        )
        subprocess.run(
            ["tar", "-xf", "-", "-C", "/"],
            input=build_overlay(spec),
            env=self.environment,
            check=True,
            timeout=LIMIT_S,
        )

    def helper(
        self, name: str, *arguments: str, typed: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one helper between pipes; its standard input ends after `typed`."""
        process = subprocess.Popen(
            [self.bin / name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | environment,
            cwd=self.root,
            start_new_session=True,
        )
        with process, _ending(process):
            output, errors = process.communicate(typed, timeout=LIMIT_S)
        return subprocess.CompletedProcess(name, process.returncode, output, errors)

    def run_tests(self, answer: Answer = lambda event: None) -> Finished:
        """Run lava-test-runner on a terminal until it ends, typing what `answer` says."""
        master, slave = pty.openpty()
        with os.fdopen(master, "r+b", buffering=0) as terminal:
            process = subprocess.Popen(
                [self.bin / "lava-test-runner", self.directory],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=self.environment,
                start_new_session=True,
            )
            os.close(slave)
            with _ending(process):
                finished = _attend(terminal.fileno(), process.pid, answer)
                finished.status = process.wait(timeout=LIMIT_S)
        return finished

    def result_directory(self, index: int) -> Path:
        """Return the folder of one test's results."""
        (found,) = self.results.glob(f"{index}_uuid-{index}-*")
        return found


@contextmanager
def _ending(process: subprocess.Popen[Any]) -> Iterator[None]:
    """End a process, which leads a session, with all that it started, if it has not ended."""
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=LIMIT_S)


def _attend(terminal: int, process: int, answer: Answer) -> Finished:
    """Read a terminal until the last program on it has ended."""
    deadline = Deadline.after("the test shell", LIMIT_S)
    finished, parser, pending = Finished(), SignalParser(), b""
    while select.select([terminal], [], [], deadline.remaining_s)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # EIO: nobody has the terminal open any more
            return finished
        finished.output += data.decode()
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            told = parser.feed(line.decode())
            event = told.event if isinstance(told, Recorded) else told
            if event is None:
                continue
            if not isinstance(event, Settle):
                finished.events.append(event)
            reply = reply_settle(()) if isinstance(event, Settle) else answer(event)
            if isinstance(told, Recorded) and isinstance(event, Settle | MultiNodeCall):
                reply = enveloped(told.place, str(reply or reply_sent()))
            if reply is not None:
                os.write(terminal, f"{reply}\n".encode())
    pytest.fail(f"process {process} did not end; it printed:\n{finished.output}")


@pytest.fixture(params=sorted(PACKAGES))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """A node under each shell; busybox's has no tools but busybox's own."""
    name: str = request.param
    program = shutil.which(name)
    if program is None:
        pytest.fail(f"{name} is missing: apt-get install {PACKAGES[name]}")
    tools = tmp_path / "tools"
    tools.mkdir()
    if name == "busybox":
        subprocess.run([program, "--install", "-s", tools], check=True, timeout=LIMIT_S)
        yield Node(tmp_path, tools / "sh", str(tools))
    else:
        (tools / "sh").symlink_to(program)
        yield Node(tmp_path, tools / "sh", os.defpath)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "tests.git")


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def loader(tmp_path: Path, warnings: list[str]) -> Iterator[DefinitionLoader]:
    (tmp_path / "downloads").mkdir()
    config = DispatcherConfig(lava_cachedir=tmp_path / "cache")
    deadline = Deadline.after("the test", LIMIT_S)
    with JobFiles(tmp_path, config, tmp_path / "downloads") as files:
        yield DefinitionLoader(
            folder=tmp_path,
            work=tmp_path / "work",
            deadline=deadline,
            warn=warnings.append,
            download=lambda url: files.fetch(FileReference(url=url), deadline, NodeLog()),
        )
