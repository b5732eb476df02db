# SPDX-License-Identifier: MIT
"""A twin of this machine: the same files, with processes and networks of its own.

As a host it may be given bridges, and files outside of the test's folder, and none of it is seen
on this machine.  All of it is gone with its first process.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import leftovers
from tests.support.lab import Lab, ending
from tests.support.local_lab import configure
from tests.support.missing import missing, need_root
from tests.support.sshd import Server, ssh_server

PROGRAM = Path(__file__).with_name("twin.sh")
NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--uts")
LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinLab(Lab):
    """A lab whose host is a twin of this machine."""

    server: Server

    def traces(self) -> list[str]:
        """See `Lab.traces`."""
        return leftovers.traces(self, self.server)


@contextmanager
def twin(folder: Path) -> Iterator[tuple[str, ...]]:
    """A twin that shares `folder` with this machine; gives the words that run a command on it."""
    need_root()
    root = folder / "twin"
    root.mkdir()
    command = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--propagation", "private"]
    process = subprocess.Popen(
        [*command, "sh", PROGRAM, folder, root],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                missing("namespaces, or a file system that can be laid over its own")
            yield ("nsenter", "--target", _first_process(process.pid), "--all", "--root", "--")
        finally:
            process.kill()


def _first_process(unshare: int) -> str:
    """The process that is the twin's first; it has a parent that waits for it."""
    return Path(f"/proc/{unshare}/task/{unshare}/children").read_text().strip()


@pytest.fixture
def twin_lab(images: None, tmp_path: Path) -> Iterator[TwinLab]:
    """A lab whose only host, a twin of this machine, passes for an emulated board."""
    with twin(tmp_path) as within, ssh_server(tmp_path, within) as server:
        config = configure(tmp_path, server, "emulated-arm64")
        made = TwinLab(folder=tmp_path, config=config, server=server)
        with ending(made):
            yield made
