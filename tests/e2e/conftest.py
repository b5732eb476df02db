# SPDX-License-Identifier: MIT
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.emulated_board import Board, answer, booted_board
from tests.support.lab import Lab, ending, images
from tests.support.lab import lab as make_lab

__all__ = ["images"]


@pytest.fixture
def lab(images: None, tmp_path: Path) -> Iterator[Lab]:
    """A lab of one test, which must leave no process behind."""
    with make_lab(tmp_path) as made:
        yield made
        assert made.processes() == []


@dataclass(frozen=True, slots=True, kw_only=True)
class UpLab(Lab):
    """A lab whose board is up and stays up, so that jobs reach it by SSH."""

    up: Board

    def on_board(self, command: str) -> str:
        """Return the text that a command prints on the board."""
        return answer(self.up.consoles[0], command)

    def files_on_host(self, folder: str) -> list[str]:
        """See `Lab.files_on_host`."""
        return self.on_board(f"ls -A {folder}").split()


@pytest.fixture(scope="module")
def board_that_is_up(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board that takes jobs by SSH; its folder has the files ``id`` and ``known_hosts``."""
    folder = tmp_path_factory.mktemp("up")
    with booted_board(folder / "board") as board:
        make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(board.folder / "id")]
        subprocess.run(make_key, check=True)
        public = (board.folder / "id.pub").read_text().strip()
        (line,) = board.consoles
        # Lines of the kernel, which come at any time, would mix with the answers.
        answer(line, "dmesg -n 1")
        # A job puts its own keys into the other file, authorized_keys.
        answer(line, f"mkdir -p /root/.ssh; echo '{public}' >/root/.ssh/authorized_keys2")
        keys = answer(line, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()
        (board.folder / "known_hosts").write_text(
            f"[127.0.0.1]:{board.ssh_port} {' '.join(keys)}\n"
        )
        yield board


@pytest.fixture
def up_lab(board_that_is_up: Board, tmp_path: Path) -> Iterator[UpLab]:
    """A lab of one test, whose board is up already; images of earlier tests may be on it."""
    board = board_that_is_up
    made = UpLab(folder=tmp_path, config=tmp_path / "config", up=board)
    shutil.copytree(board.folder / "config", made.config)
    (made.config / "device-types/emulated-arm64.conf").write_text(
        "client_type = ssh\ntimeout_scale = 3\n"
    )
    with (made.config / "devices/board01.conf").open("a") as device:
        device.write(f"ssh_identity_file = {board.folder}/id\n")
        device.write(f"ssh_known_hosts = {board.folder}/known_hosts\n")
    with ending(made):
        yield made
