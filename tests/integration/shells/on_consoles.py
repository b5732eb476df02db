# SPDX-License-Identifier: MIT
"""Consoles on which a shell is prepared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.console import events, shell
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.recorder import Recorder


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@contextmanager
def console_on(stream: ByteStream, folder: Path) -> Iterator[Console]:
    with Console(stream, Recorder(folder / "console.log")) as console:
        yield console


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of silence become hundredths, as do the delays of the prompts."""
    monkeypatch.setattr(events, "QUIET_S", 0.02)
    monkeypatch.setattr(shell, "_STEP_S", 0.04)
