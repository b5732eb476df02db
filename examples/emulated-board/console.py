# SPDX-License-Identifier: MIT
"""The serial server of an emulated board: listens, and QEMU connects.

QEMU tries again every second while it has no connection, so a console may
come and go at any time; what the board says meanwhile is lost, as on a real
serial line that nobody listens to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

CHUNK = 65536
ATTACH_TIMEOUT_S = 5.0
"""Longer than QEMU takes to notice a console at a running board."""
ESCAPE = b"\x1d"
STDIN, STDOUT = 0, 1


class ConsoleError(Exception):
    """Something the user can act on; the text is one line."""


def is_attached(folder: Path) -> bool:
    """True if some process serves the board's serial line."""
    try:
        with (folder / "console.lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def relay(folder: Path, is_running: Callable[[], bool], escape: bool) -> None:
    """Copies both ways between standard input and output and the board.

    Returns when standard input ends or a signal asks for it.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    with _listener(folder) as listener, _raw_terminal():
        line = _Line(listener, escape)
        if is_running():
            line.wait_for_board(ATTACH_TIMEOUT_S)
        _write(b"Connected.\r\n")
        while line.step():
            pass


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


@contextlib.contextmanager
def _listener(folder: Path) -> Iterator[socket.socket]:
    with (folder / "console.lock").open("a") as lock:
        try:
            # The kernel gives the lock up with the process, however it ends,
            # so a socket file found under the lock is always a leftover.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConsoleError("the serial line is in use by another console") from error
        path = folder / "serial.sock"
        path.unlink(missing_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                # The folder's own path may be too long for a socket.
                listener.bind(f"/proc/self/fd/{descriptor}/{path.name}")
                listener.listen(1)
                yield listener
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Neither echo nor conversion of line ends while this lasts."""
    if not os.isatty(STDIN):
        yield
        return
    before = termios.tcgetattr(STDIN)
    tty.setraw(STDIN)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(STDOUT, data) :]


class _Line:
    """The wire between standard input and output and the board of the moment."""

    def __init__(self, listener: socket.socket, escape: bool) -> None:
        self._listener = listener
        self._escape = escape
        self._board: socket.socket | None = None
        self._to_board = b""

    def wait_for_board(self, timeout_s: float) -> None:
        """Waits for the connection of a board that is on."""
        ready, _, _ = select.select([self._listener], [], [], timeout_s)
        if ready:
            self._accept()

    def step(self) -> bool:
        """Waits for something to copy and copies it; False at the end of standard input."""
        board = self._board
        readers: list[int | socket.socket] = [self._listener if board is None else board]
        # Bytes that are typed faster than the board reads stay with the typist.
        if len(self._to_board) < CHUNK:
            readers.append(STDIN)
        writers = [board] if board is not None and self._to_board else []
        readable, writable, _ = select.select(readers, writers, [])
        if self._listener in readable:
            self._accept()
        if board is not None and board in writable:
            self._send()
        if self._board is not None and self._board in readable:
            self._receive()
        return STDIN not in readable or self._type()

    def _accept(self) -> None:
        self._board, _ = self._listener.accept()
        self._board.setblocking(False)

    def _hang_up(self) -> None:
        if self._board is not None:
            self._board.close()
        self._board = None
        self._to_board = b""

    def _send(self) -> None:
        if self._board is None:
            return
        try:
            self._to_board = self._to_board[self._board.send(self._to_board) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._hang_up()

    def _receive(self) -> None:
        assert self._board is not None
        try:
            data = self._board.recv(CHUNK)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            _write(data)
        else:
            self._hang_up()

    def _type(self) -> bool:
        try:
            data = os.read(STDIN, CHUNK)
        except OSError:
            # A pseudo-terminal reports its closed other end so.
            return False
        if not data or (self._escape and ESCAPE in data):
            return False
        # A board that is off hears nothing.
        if self._board is not None:
            self._to_board += data
        return True
