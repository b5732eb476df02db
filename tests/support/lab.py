# SPDX-License-Identifier: MIT
"""An emulated board, and ``lava-dispatch`` running on it as a user would run it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import assert_valid
from tests.support.coordinators import Running, our_coordinator
from tests.support.processes import end

ROOT = Path(__file__).parents[2]
EMULATED_BOARD = ROOT / "examples/emulated-board"
IMAGES = EMULATED_BOARD / "images"
RUN_LIMIT_S = 1600.0


@pytest.fixture(scope="session")
def images() -> None:
    """The images of the emulated board, built where they are not there yet."""
    subprocess.run([sys.executable, str(EMULATED_BOARD / "build_images.py")], check=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run of ``lava-dispatch`` that has ended."""

    status: int
    stdout: str
    stderr: str
    output: Path

    @property
    def results(self) -> Any:
        """The content of ``results.json``."""
        return json.loads((self.output / "results.json").read_text())

    @property
    def events(self) -> list[Any]:
        """The content of ``events.jsonl``."""
        return [json.loads(line) for line in (self.output / "events.jsonl").open()]

    def console(self, node: str) -> str:
        """All that a node's console said."""
        return (self.output / node / "console.log").read_text(errors="replace")

    def records(self, node: str) -> str:
        """All that a node's tests recorded beside its console."""
        return (self.output / node / "records.log").read_text(errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A configuration and a folder to work in."""

    folder: Path
    config: Path
    program: tuple[str, ...] = ("-m", "lava_vmgroup")
    """The words for Python that run ``lava-dispatch``."""
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def board(self) -> Path:
        """The emulated board's folder, where the lab has one."""
        return self.folder / "board"

    def write_job(self, document: Mapping[str, Any], testdef: str) -> Path:
        """Put a job and its test definition where they can be run."""
        (self.folder / "testdef.yaml").write_text(testdef)
        path = self.folder / "job.json"
        path.write_text(json.dumps(document))
        return path

    def command(self, *words: str) -> list[str]:
        """The command line of ``lava-dispatch`` in this lab."""
        return [sys.executable, *self.program, "--config-dir", str(self.config), *words]

    def start(self, job: Path, *options: str, output: str = "results") -> subprocess.Popen[str]:
        """Start ``lava-dispatch`` on a job."""
        command = self.command("--output-dir", str(self.folder / output), *options, str(job))
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
        )
        self.started.append(process)
        return process

    def start_sub_jobs(self, job: Path, port: int) -> dict[str, subprocess.Popen[str]]:
        """Expand a job to files, and start a ``lava-dispatch`` for each; by their numbers.

        They meet at the coordinator that listens on `port` and asks for the token in the file
        ``token``; their results are in ``results-<number>``.
        """
        settings = {"coordinator_hostname": "127.0.0.1", "port": port, "token_file": "token"}
        coordinator = self.folder / "coordinator.conf"
        coordinator.write_text(json.dumps(settings))
        return {
            (number := path.stem.rpartition(".")[2]): self.start(
                path, "--coordinator", str(coordinator), output=f"results-{number}"
            )
            for path in self.expand(job)
        }

    def expand(self, job: Path) -> list[Path]:
        """The files of a job's sub-jobs, which are written unless they are there already."""
        jobs = self.folder / "jobs"
        if not jobs.exists():
            words = ["-m", "lava_vmgroup", "--job-id", "17", "--expand-to", str(jobs), str(job)]
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        return sorted(jobs.iterdir())

    def finish(self, process: subprocess.Popen[str], output: str = "results") -> Ended:
        """Wait for the end of a run; a run that does not end is ended.

        A dashboard must take every bundle that it wrote.
        """
        try:
            stdout, stderr = process.communicate(timeout=RUN_LIMIT_S)
        except subprocess.TimeoutExpired:
            end(process)
            raise
        folder = self.folder / output
        for bundle in folder.rglob("bundle.json"):
            assert_valid(json.loads(bundle.read_text()))
        return Ended(status=process.returncode, stdout=stdout, stderr=stderr, output=folder)

    def run(self, job: Path) -> Ended:
        """Run a job to its end."""
        return self.finish(self.start(job))

    def run_until(
        self, job: Path, wanted: Callable[[Mapping[str, Any]], bool], number: signal.Signals
    ) -> Ended:
        """Run a job, and send a signal as soon as an event is told that is `wanted`."""
        process = self.start(job)
        for event in follow(self.folder / "results/events.jsonl", process):
            if wanted(event):
                process.send_signal(number)
                break
        return self.finish(process)

    def processes(self) -> list[str]:
        """The command lines of all processes that have to do with this lab."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            line = b" ".join(words).decode(errors="replace")
            if str(self.folder) in line and folder.name != str(os.getpid()):
                found.append(line)
        return found

    def files_on_host(self, folder: str) -> list[str]:
        """The names in a folder of the host's file system, read from its SD card."""
        card = f"{self.board / 'sdcard.img'}?offset={1 << 20}"
        listing = subprocess.run(
            ["/usr/sbin/debugfs", "-R", f"ls -p {folder}", card],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        names = re.findall(r"^/\d+/\d+/\d+/\d+/([^/]+)/", listing, re.MULTILINE)
        return [name for name in names if name not in (".", "..")]

    def traces(self) -> list[str]:
        """Return the left-overs of a job on the host."""
        jobs = [name for name in self.files_on_host("/lava-vm-images") if name != "sha256"]
        stored = self.files_on_host("/lava-vm-images/sha256")
        parts = [name for name in stored if ".part-" in name]
        keys = [name for name in self.files_on_host("/root/.ssh") if name == "authorized_keys"]
        return jobs + parts + keys


def follow(path: Path, process: subprocess.Popen[str]) -> Iterator[Mapping[str, Any]]:
    """The events of a running job as they are told; ends with the job."""
    seen = 0
    while True:
        running = process.poll() is None
        lines = path.read_text().split("\n") if path.exists() else []
        for line in lines[seen:-1]:
            yield json.loads(line)
        seen = max(seen, len(lines) - 1)
        if not running:
            return
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def coordinator(folder: Path) -> Iterator[int]:
    """A lab's coordinator that asks for a token, which the file ``token`` holds; gives its port."""
    with token_coordinator(folder) as running:
        yield running.address[1]


@contextmanager
def token_coordinator(folder: Path) -> Iterator[Running]:
    """The same, as a process that can be ended."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("a token of a lab\n")
    with our_coordinator("--token-file", str(token)) as running:
        yield running


@contextmanager
def ending(made: Lab) -> Iterator[Lab]:
    """Give the lab, and end what a test that failed has left running."""
    try:
        yield made
    finally:
        for process in made.started:
            end(process)


@contextmanager
def lab(folder: Path, *options: str) -> Iterator[Lab]:
    """A lab with one emulated board, made with `options`, which is gone at the end."""
    made = Lab(folder=folder, config=folder / "board/config")
    program = [sys.executable, str(EMULATED_BOARD / "board.py")]
    create = [*program, "create", *options, str(made.board)]
    subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
    try:
        with ending(made):
            yield made
    finally:
        subprocess.run([*program, "destroy", str(made.board)], check=True)
