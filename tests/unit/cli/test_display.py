# SPDX-License-Identifier: MIT
"""A terminal shows a line per node that follows the events; anything else gets plain lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from lava_vmgroup.base.log import LOGGER, NodeLog
from lava_vmgroup.cli import display


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A live display that follows the project's events, and what it shows."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.printed = StringIO()
        self.handler = display.LiveDisplay(_console(self.printed), clock=self.clock)

    def lines(self) -> list[str]:
        stream = StringIO()
        _console(stream).print(self.handler.render())
        return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def _console(stream: StringIO) -> Console:
    return Console(
        file=stream, force_terminal=True, width=120, color_system=None, no_color=True, _environ={}
    )


@pytest.fixture
def watched() -> Iterator[Watched]:
    found = Watched()
    level = LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(found.handler)
    yield found
    LOGGER.removeHandler(found.handler)
    LOGGER.setLevel(level)


@pytest.fixture
def vm(watched: Watched) -> NodeLog:
    log = NodeLog("vm1")
    log.event("node-start", "vm1 starts", role="client", device_type="kvm-arm")
    return log


@pytest.fixture(autouse=True)
def terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def test_nodes_have_a_line_each_in_the_order_of_their_start(watched: Watched) -> None:
    NodeLog("arndale01").event("node-start", "", role="host", device_type="arndale")
    NodeLog("vm1").event("node-start", "", role="client", device_type="kvm-arm")

    assert watched.lines() == ["arndale01 host starting 0 s", "vm1 client starting 0 s"]


def test_action_shows_with_the_seconds_since_it_began(watched: Watched, vm: NodeLog) -> None:
    watched.clock.now += 7
    vm.event("action-start", "", command="boot_linaro_image")
    watched.clock.now += 3

    assert watched.lines() == ["vm1 client boot_linaro_image 3 s"]


def test_state_stays_until_the_action_ends(watched: Watched, vm: NodeLog) -> None:
    vm.event("action-start", "", command="boot_linaro_image")
    vm.event("state", "", state="waiting for host")
    during = watched.lines()
    watched.clock.now += 5
    vm.event("action-end", "")

    assert during == ["vm1 client waiting for host boot_linaro_image 0 s"]
    assert watched.lines() == ["vm1 client 5 s"]


def test_test_shows_its_run_and_last_case_with_the_seconds_of_the_run(
    watched: Watched, vm: NodeLog
) -> None:
    vm.event("action-start", "", command="lava_test_shell")
    watched.clock.now += 10
    vm.event("run-start", "", name="smoke")
    started = watched.lines()
    watched.clock.now += 4
    vm.event("test-case", "", name="boots", result="pass")

    assert started == ["vm1 client smoke 0 s"]
    assert watched.lines() == ["vm1 client smoke: boots pass 4 s"]


def test_action_shows_again_when_its_test_run_ends(watched: Watched, vm: NodeLog) -> None:
    vm.event("action-start", "", command="lava_test_shell")
    watched.clock.now += 10
    vm.event("run-start", "", name="smoke")
    vm.event("test-case", "", name="boots", result="pass")
    vm.event("run-end", "", name="smoke")

    assert watched.lines() == ["vm1 client lava_test_shell 10 s"]


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [
        (250_000_000, 1_000_000_000, "uploading, rootfs.img 25% of 1.0 GB"),
        (250_000, None, "uploading, rootfs.img 250.0 kB"),
        (1000, 1000, "uploading"),
    ],
)
def test_progress_shows_beside_the_state(
    watched: Watched, vm: NodeLog, done: int, total: int | None, words: str
) -> None:
    vm.event("state", "", state="uploading")
    vm.debug("progress", "", what="rootfs.img", done=done, total=total)

    assert watched.lines() == [f"vm1 client {words} 0 s"]


def test_progress_goes_when_the_state_changes(watched: Watched, vm: NodeLog) -> None:
    vm.event("progress", "", what="rootfs.img", done=1, total=2)
    vm.event("state", "", state="booting")

    assert watched.lines() == ["vm1 client booting 0 s"]


def test_ended_node_keeps_its_end_and_its_time(watched: Watched, vm: NodeLog) -> None:
    vm.event("action-start", "", command="boot_linaro_image")
    watched.clock.now += 60
    vm.event("node-end", "", state="Incomplete")
    watched.clock.now += 60
    vm.event("state", "", state="stopping")

    assert watched.lines() == ["vm1 client Incomplete 60 s"]


def test_waiting_for_a_board_shows_before_its_node_starts(watched: Watched) -> None:
    log = NodeLog("board01")
    log.event("waiting", "told elsewhere", state="in use by job 'a'")
    watched.clock.now += 7
    log.event("waiting", "told elsewhere", state="in use by job 'b'")
    assert watched.lines() == ["board01 in use by job 'b' 7 s"]

    log.event("node-start", "host", role="host", device_type="board")
    assert watched.lines() == ["board01 host starting 0 s"]


def test_events_of_others_and_unknown_kinds_change_nothing(watched: Watched, vm: NodeLog) -> None:
    before = watched.lines()

    NodeLog().event("state", "", state="loading")
    NodeLog("coordinator").event("state", "", state="listening")
    vm.event("something-new", "", state="odd")
    LOGGER.info("an ordinary record")

    assert watched.lines() == before


def test_warnings_are_printed_and_other_records_are_not(watched: Watched, vm: NodeLog) -> None:
    vm.event("state", "all is well", state="booting")
    vm.warning("console", "the console is slow")
    LOGGER.error("it broke")

    printed = watched.printed.getvalue().splitlines()
    assert len(printed) == 2
    assert "vm1: warning: the console is slow" in printed[0]
    assert "error: it broke" in printed[1]


def test_nothing_foreign_takes_effect(watched: Watched, vm: NodeLog) -> None:
    vm.event("run-start", "", name="\x1b[2J[red]smoke")
    vm.event("test-case", "", name="[bold]a\nb", result="pass")
    vm.warning("console", "quoted \x1b]0;title\x07[red]text")

    assert watched.lines() == ["vm1 client starting [red]smoke: [bold]a b pass 0 s"]
    assert "quoted [red]text" in watched.printed.getvalue()
    assert "\x1b" not in watched.printed.getvalue()


def test_event_that_cannot_be_shown_does_not_end_its_node(
    watched: Watched, vm: NodeLog, capsys: pytest.CaptureFixture[str]
) -> None:
    vm.event("progress", "", what="rootfs.img", done="some", total=5)

    assert "TypeError" in capsys.readouterr().err


def test_terminal_gets_live_lines_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Terminal()

    with display.log_to_terminal(logging.INFO, stream):
        NodeLog("vm1").event("node-start", "vm1 starts", role="client")
        NodeLog("vm1").event("state", "it boots", state="booting")
        NodeLog("vm1").warning("console", "the console is slow")

    text = stream.getvalue()
    assert "booting" in text
    assert "vm1: warning: the console is slow" in text
    assert "it boots" not in text
    assert "\x1b[?25l" in text, "the cursor hides while lines change in place"
    assert text.rindex("\x1b[?25h") > text.rindex("booting"), "the cursor is back at the end"


def test_verbose_terminal_gets_every_event_too() -> None:
    stream = Terminal()

    with display.log_to_terminal(logging.DEBUG, stream):
        NodeLog("vm1").debug("detail", "a detail")

    assert "a detail" in stream.getvalue()


@pytest.mark.parametrize("kind", ["pipe", "dumb", "quiet", "forced-colour"])
def test_elsewhere_events_are_plain_lines(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream: StringIO = StringIO() if kind in ("pipe", "forced-colour") else Terminal()
    if kind == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    if kind == "forced-colour":
        monkeypatch.setenv("FORCE_COLOR", "1")
    level = logging.WARNING if kind == "quiet" else logging.INFO

    with display.log_to_terminal(level, stream):
        NodeLog("vm1").event("state", "it boots", state="booting")
        NodeLog("vm1").warning("console", "odd \x1b[31mtext")
        NodeLog("vm1").debug("detail", "a detail")

    messages = [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()]
    expected = ["vm1: it boots", "vm1: warning: odd text"]
    assert messages == (expected[1:] if kind == "quiet" else expected)


@pytest.mark.parametrize("stream", [StringIO(), Terminal()])
def test_logger_is_left_as_it_was(stream: StringIO, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger=LOGGER.name)
    before = (LOGGER.level, list(LOGGER.handlers))

    with pytest.raises(KeyError), display.log_to_terminal(logging.INFO, stream):
        raise KeyError

    assert (LOGGER.level, LOGGER.handlers) == before
