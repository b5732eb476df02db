# SPDX-License-Identifier: MIT
"""An emulated board as a person handles it: power switch, serial line and SD card."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/emulated-board"
BOARD = [sys.executable, str(EXAMPLE / "board.py")]
COMMAND_TIMEOUT_S = 60.0
UBOOT_TIMEOUT_S = 30.0
BOOT_TIMEOUT_S = 120.0
AUTOBOOT = "Hit any key to stop autoboot"
PROMPT = "root@board:~# "


@dataclass
class Board:
    """One board under test and its open consoles."""

    folder: Path
    consoles: list[pexpect.spawn[str]] = field(default_factory=list)

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*BOARD, command, str(self.folder), *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )

    def must(self, command: str, *arguments: str) -> None:
        done = self.run(command, *arguments)
        assert done.returncode == 0, done.stderr

    def console(self) -> pexpect.spawn[str]:
        line = pexpect.spawn(
            BOARD[0],
            [*BOARD[1:], "console", str(self.folder)],
            timeout=UBOOT_TIMEOUT_S,
            encoding="utf-8",
            codec_errors="replace",
        )
        self.consoles.append(line)
        line.expect(r"Connected\.\r")
        return line

    def pid(self) -> int:
        return int((self.folder / "qemu.pid").read_text())

    @property
    def ssh_port(self) -> int:
        port: int = json.loads((self.folder / "board.json").read_text())["ssh_port"]
        return port

    def clean_up(self) -> None:
        for line in self.consoles:
            # pexpect gives a killed process a tenth of a second, which a busy machine does not.
            line.kill(signal.SIGKILL)
            line.wait()
            line.close()
        if self.folder.exists():
            self.must("destroy")


@contextmanager
def booted_board(folder: Path) -> Iterator[Board]:
    """A board that booted by itself from its card, with a root shell on its one console."""
    board = Board(folder)
    board.must("create")
    try:
        board.must("insert", "host.img")
        line = board.console()
        board.must("on")
        boot(line)
        yield board
    finally:
        board.clean_up()


def boot(line: pexpect.spawn[str]) -> None:
    """Let the board boot, and log in on the serial line."""
    line.expect_exact(AUTOBOOT)
    line.expect_exact("/boot/extlinux/extlinux.conf")
    line.expect_exact("Linux version", timeout=BOOT_TIMEOUT_S)
    line.expect_exact("Freeing unused kernel memory", timeout=BOOT_TIMEOUT_S)
    line.expect_exact("login: ", timeout=BOOT_TIMEOUT_S)
    line.sendline("root")
    line.expect_exact(PROMPT)


def answer(line: pexpect.spawn[str], command: str) -> str:
    """Return the text that a shell command prints."""
    line.sendline(command)
    line.expect_exact("\n")
    line.expect_exact(PROMPT)
    return str(line.before).strip()
