# SPDX-License-Identifier: MIT
"""A board's serial ports beside its console are recorded."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.boards.bootloader import Driver
from tests.unit.boards.played_console import soon


def test_other_ports_are_recorded_until_the_board_is_left(
    lab: Callable[..., Driver], tmp_path: Path
) -> None:
    ports = {
        "connection_command_uart1": "sh -c 'echo secure world; echo $$ >pid; exec sleep 600'",
        "connection_command_uart2": "sh -c 'echo only once'",
        "connection_command_uart3": "tcp://127.0.0.1:1",
    }
    driver = lab("fine", extra=ports)
    records = [tmp_path / f"console-uart{number}.log" for number in (1, 2, 3)]

    driver.boot(soon())
    while not (tmp_path / "pid").exists() or not all(one.read_bytes() for one in records[:2]):
        soon().pause(0.05)
    number = int((tmp_path / "pid").read_text())
    driver.close()

    assert [one.read_bytes().partition(b"\n")[0] for one in records] == [
        b"secure world",
        b"only once",
        b"",
    ]
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
