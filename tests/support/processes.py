# SPDX-License-Identifier: MIT
"""Processes of this machine, and waiting for what they do."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_LIMIT_S = 60.0


def is_running(pid: int) -> bool:
    """Return True if the process runs; a zombie does not."""
    try:
        return b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1]
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that takes as long as it takes."""
    limit = time.monotonic() + _LIMIT_S
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.05)


def end(process: subprocess.Popen[str]) -> None:
    """End a process that runs: it has some time to clean up, and then it is killed.

    Its output is lost.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:  # of the process, or of a child that holds its output
        process.kill()
        process.wait()


def said(process: subprocess.Popen[str]) -> str:
    """Return the output of a process that has ended, or is about to."""
    return "\n".join(process.communicate(timeout=_LIMIT_S))
