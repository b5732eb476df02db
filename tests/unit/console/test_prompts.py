# SPDX-License-Identifier: MIT
"""A root shell's prompt is known by its looks, with or without escapes for the terminal."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired
from lava_vmgroup.console import login
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.escapes import last_line, plain
from lava_vmgroup.console.events import Match
from lava_vmgroup.console.prompts import Anywhere, LastLine, is_quiet

PROMPTS = [
    "root@debian:~# ",
    "root@debian:/var/lib/with blank# ",
    "root@(none):/# ",
    "(chroot)root@host:/# ",
    "[root@fedora ~]# ",
    "[root@archlinux log]# ",
    "\n[root@nixos:~]# ",
    "localhost:~# ",
    "localhost:~ # ",
    "install:/etc/apk # ",
    "livecd ~ # ",
    "console:/ # ",
    "root@OpenWrt:/# ",
    "# ",
    "/ # ",
    "~ # ",
    "/mnt/data # ",
    "sh-5.2# ",
    "bash-5.1# ",
    "host# ",
    "root@host ~# ",
    "root@host /u/l/bin# ",
    "root@freebsd:~ # ",
    "lava-test [rc=0]# ",
    "\x1b[01;32mroot@debian\x1b[00m:\x1b[01;34m~\x1b[00m# ",
    "\x1b]0;root@fedora:~\x07[root@fedora ~]# ",
    "\x1b]3008;start=ab;type=shell;cwd=/root\x1b\\[root@fedora ~]# \x1b]133;B\x1b\\",
    "\x1b[?2004h\x1b[1;31mlocalhost\x1b[0m:\x1b[1;34m~\x1b[0m # ",
    "\x1b[1m\x1b[7m%\x1b[27m\x1b[1m\x1b[0m      \r \r\r\x1b[0m\x1b[27m\x1b[24m\x1b[Jhost# \x1b[K",
]
NO_PROMPTS = [
    "Loading: #",
    "Loading: ####",
    "\t ####",
    "######################                 ",
    "[  OK  ] Started OpenBSD Secure Shell server",
    "[  OK  ] #",
    " * Starting sshd ... #",
    "[    5.123456] usb 1-1: #",
    "login as root@host:~# is off, they say",
    "root@host:~$ ",
]


def is_known(text: str) -> bool:
    return any(one.search(last_line(text)) for one in login._KNOWN)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompt_of_any_system_is_known(prompt: str) -> None:
    assert is_known(f"starting\r\n{prompt}")


@pytest.mark.parametrize("text", NO_PROMPTS)
def test_text_at_the_end_of_a_line_is_no_prompt(text: str) -> None:
    assert not is_known(f"starting\r\n{text}")


def test_text_is_as_a_terminal_shows_it() -> None:
    told = "a\x1b[1;31mb\x1b[0m\x1b]0;title\x07c\x1bP+q6E\x1b\\d\x1b7e\x1b(Bf\x1b[6ng\x00\tx\x08h"

    assert plain(told) == "abcdefg\th"
    assert plain("\x1b]0;a title that never ends\nnext") == "\nnext"


COLOURED = "one\n\x1b[1mroot@\x1b[0mhost:~# \nthree"


@pytest.mark.parametrize(
    ("pattern", "start", "span"),
    [
        ("three", 0, (26, 31)),
        ("root@host:~# ", 0, (4, 25)),
        ("root@host:~# ", 4, (4, 25)),
        ("root@host:~# ", 26, None),
        ("one", 1, None),
        ("four", 0, None),
    ],
)
def test_pattern_of_a_user_is_found_in_any_line_whatever_its_colours(
    pattern: str, start: int, span: tuple[int, int] | None
) -> None:
    found = Anywhere(pattern).search(COLOURED, start)

    assert (found and found.span()) == span


@pytest.mark.parametrize(
    ("text", "start", "place"),
    [
        ("starting\n\x1b[1mhost# ", 0, 9),
        ("host# ", 0, 0),
        ("starting\nhost# ", 11, 11),
        ("host# \n", 0, None),
        ("host# ", 6, None),
        ("host# \nstarting", 0, None),
    ],
)
def test_last_line_is_found_where_it_begins_and_left_to_be_read_again(
    text: str, start: int, place: int | None
) -> None:
    found = LastLine(lambda line: line == "host# ").search(text, start)

    assert (found and found.span()) == (None if place is None else (place, place))


def shown(text: str) -> Match:
    found = LastLine(lambda _: True).search(text)
    assert found is not None
    return Match(index=0, before="", found=found)


class Heard:
    """A console on which this text comes, and then none."""

    def __init__(self, text: str) -> None:
        self.text = text

    def expect(self, patterns: Sequence[Any], deadline: Deadline) -> None:
        if not any(one.search(self.text) for one in patterns):
            raise deadline.error()


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("", True),
        ("host# ", True),
        ("\rhost# ", True),
        ("\x1b[Khost#", True),
        ("host# ls", False),
        ("host# \n", False),
        ("###", False),
    ],
)
def test_line_is_quiet_as_long_as_it_stays_what_it_is(text: str, stays: bool) -> None:
    quiet = is_quiet(cast(Console, Heard(text)), shown("host# "), 1, Deadline.after("the test", 60))

    assert quiet is stays


def test_end_of_time_is_no_quiet() -> None:
    with pytest.raises(DeadlineExpired):
        is_quiet(cast(Console, Heard("")), shown("host# "), 1, Deadline.after("the test", 0))


def test_backspace_at_the_beginning_of_a_line_does_nothing() -> None:
    assert plain("a\n\x08b\x08\x08c") == "a\nc"
    assert is_known("starting\r\n\x08root@debian:~# ")


def test_control_characters_but_tabs_and_ends_of_lines_are_not_shown() -> None:
    assert plain("".join(map(chr, range(1, 0x20))) + "\x7f") == "\t\n\r"


@pytest.mark.parametrize(
    ("text", "visible"),
    [("a\nb", "b"), ("a\n", ""), ("old\rnew", "new"), ("new\r", "new"), ("\x1b[2Ka\x07", "a")],
)
def test_last_line_is_as_a_terminal_shows_it(text: str, visible: str) -> None:
    assert last_line(text) == visible
