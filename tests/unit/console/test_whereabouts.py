# SPDX-License-Identifier: MIT
"""A shell that is gone is told by a prompt of something else, and only if that comes again."""

import math
from typing import cast

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.whereabouts import Whereabouts

LIMIT = Deadline.after("the test", 60)
LOGINS = ["login: ", "debian login: ", "\x1b[1mbuildroot login:\x1b[0m"]
BOOT_LOADERS = ["=> ", "U-Boot> ", "U-Boot 2025.01# ", "barebox@board:/ ", "grub> ", "Shell> "]


class Played:
    """A console that shows these lines."""

    def __init__(self, *lines: str) -> None:
        self.last_lines = lines
        self.heard_at = -math.inf
        self.sent: list[str] = []

    def send_line(self, text: str, _deadline: Deadline) -> None:
        self.sent.append(text)

    def say_again(self) -> None:
        self.heard_at = math.inf


def whereabouts_on(console: Played) -> Whereabouts:
    return Whereabouts(cast(Console, console))


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("",),
        ("login: ", "building"),
        ("a line that ends in login: no",),
        ("=> 5 files",),
        ("root@debian:~# ",),
    ],
)
def test_shell_may_be_asked_whatever_else_the_console_shows(lines: tuple[str, ...]) -> None:
    console = Played(*lines)
    whereabouts = whereabouts_on(console)

    assert whereabouts.look(LIMIT)
    console.say_again()
    assert whereabouts.look(LIMIT)
    assert console.sent == []


@pytest.mark.parametrize("line", LOGINS)
def test_login_prompt_gets_an_enter_and_no_question(line: str) -> None:
    console = Played("bye", line)

    assert not whereabouts_on(console).look(LIMIT)
    assert console.sent == [""]


@pytest.mark.parametrize("line", BOOT_LOADERS)
def test_prompt_of_a_boot_loader_gets_the_question_and_no_enter(line: str) -> None:
    console = Played("resetting", line)

    assert whereabouts_on(console).look(LIMIT)
    assert console.sent == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        *((line, "shows a login prompt") for line in LOGINS),
        *((line, "shows the prompt of a boot loader") for line in BOOT_LOADERS),
    ],
)
def test_shell_is_gone_if_the_prompt_comes_again(line: str, words: str) -> None:
    console = Played("bye", line)
    whereabouts = whereabouts_on(console)

    whereabouts.look(LIMIT)
    console.say_again()

    with pytest.raises(InfrastructureError, match=words) as caught:
        whereabouts.look(LIMIT)
    assert caught.value.last_lines == ("bye", line)


@pytest.mark.parametrize("line", [LOGINS[0], BOOT_LOADERS[0]])
def test_prompt_that_a_program_printed_once_proves_nothing(line: str) -> None:
    console = Played(line)
    whereabouts = whereabouts_on(console)

    for _ in range(3):
        whereabouts.look(LIMIT)


def test_other_text_in_between_clears_the_suspicion() -> None:
    console = Played("=> ")
    whereabouts = whereabouts_on(console)

    whereabouts.look(LIMIT)
    console.last_lines = ("working",)
    whereabouts.look(LIMIT)
    console.last_lines = ("=> ",)
    console.say_again()

    assert whereabouts.look(LIMIT)
