# SPDX-License-Identifier: MIT
"""Coordinators in processes of their own, on loopback: ours and Debian's lava-coordinator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = "/usr/bin/python3"
"""The system's interpreter: Debian installs LAVA's packages for that one only."""
END_LIMIT_S = 30


@dataclass(frozen=True, kw_only=True)
class Running:
    """A coordinator that listens."""

    address: tuple[str, int]
    process: subprocess.Popen[str]

    def memory_kib(self, field: str = "VmRSS") -> int:
        """A field of the process's memory, in KiB: VmRSS is present, VmHWM the most there was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(found.split()[1])

    def processor_s(self) -> float:
        """The processor time that the process has used, in seconds."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def our_coordinator(*more: str) -> Iterator[Running]:
    """Ours, started with `more` options; it has to end by SIGTERM, with status 0."""
    program = [sys.executable, "-m", "lava_vmgroup.cli.coordinator"]
    options = ["--listen", "127.0.0.1", "--port", "0", "--loglevel", "WARNING"]
    with _started([*program, *options, *more]) as running:
        yield running
        running.process.terminate()
        status = running.process.wait(END_LIMIT_S)
        if status:
            raise AssertionError(f"the coordinator ended with status {status}")


@contextmanager
def lava_coordinator(folder: Path) -> Iterator[Running]:
    """Debian's (package lava-coordinator), with its log in `folder`, as talkative as shipped."""
    program = shutil.which("lava-coordinator")
    assert program, "lava-coordinator is missing; install Debian's package lava-coordinator"
    config, log = folder / "lava-coordinator.conf", folder / "lava-coordinator.log"
    config.write_text(json.dumps({"port": 0, "blocksize": 4096}), encoding="utf-8")
    options = ["--logfile", str(log), "--loglevel", "DEBUG", "--config", str(config)]
    runner = str(HERE / "lava_coordinator_on_loopback.py")
    with _started([PYTHON, runner, program, *options]) as running:
        yield running
        if running.process.poll() is not None:
            raise AssertionError(f"lava-coordinator died: {log.read_text()[-2000:]}")


@contextmanager
def _started(command: Sequence[str]) -> Iterator[Running]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{' '.join(command)} ended at once"
            host, _, port = line.strip().rpartition(":")
            yield Running(address=(host or "127.0.0.1", int(port)), process=process)
        finally:
            process.kill()
