# SPDX-License-Identifier: MIT
"""Lines that lose, damage or delay what is typed change no verdict."""

import queue
import threading
import time
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console.shell import Shell
from tests.integration.shells.on_consoles import console_on, soon
from tests.support.terminals import LOGIN_SHELLS, on_terminal


def test_command_that_a_terminal_lost_is_typed_again_once(tmp_path: Path) -> None:
    lossy = Lossy(ProcessStream(on_terminal("bash --norc -i")))
    with console_on(lossy, tmp_path) as console:
        shell = Shell.prepare(console, soon())
        lossy.loses = b"echo"

        assert shell.run(f"echo once >>{tmp_path}/said; false", soon()) == (1, "")

    assert not lossy.loses
    assert (tmp_path / "said").read_text() == "once\n"


class Lossy:
    """A `ByteStream` that drops the first line typed which holds certain bytes."""

    def __init__(self, stream: ByteStream) -> None:
        self.loses = b""
        self._stream = stream

    def read(self) -> bytes:
        return self._stream.read()

    def write(self, data: bytes, deadline: Deadline) -> None:
        if self.loses and self.loses in data:
            self.loses = b""
            return
        self._stream.write(data, deadline)

    def close(self) -> None:
        self._stream.close()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "name", sorted(set(LOGIN_SHELLS) - {"fish"})
)  # its editor keeps a bad line
def test_quote_that_a_damaged_line_left_open_is_closed(name: str, tmp_path: Path) -> None:
    with console_on(ProcessStream(on_terminal(LOGIN_SHELLS[name])), tmp_path) as console:
        console.send_line("echo 'damaged", soon())

        assert Shell.prepare(console, soon()).run("false", soon()) == (1, "")


class Sluggish(ProcessStream):
    """A program on a terminal that takes a while for each typed line, one after the other."""

    def __init__(self, command: str, line_s: float) -> None:
        super().__init__(command)
        self._typed: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._line_s = line_s
        self._passing = threading.Thread(target=self._pass_on)
        self._passing.start()

    def write(self, data: bytes, _deadline: Deadline) -> None:
        self._typed.put(data)

    def close(self) -> None:
        self._typed.put(None)
        self._passing.join()
        super().close()

    def _pass_on(self) -> None:
        while (data := self._typed.get()) is not None:
            time.sleep(self._line_s * data.count(b"\n"))
            super().write(data, soon())


@pytest.mark.usefixtures("quick")
def test_system_that_answers_later_than_it_is_asked_again_is_waited_for(tmp_path: Path) -> None:
    with console_on(Sluggish(on_terminal(LOGIN_SHELLS["dash"]), 0.1), tmp_path) as console:
        assert Shell.prepare(console, soon()).run("false", soon()) == (1, "")
