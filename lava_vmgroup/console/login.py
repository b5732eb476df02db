# SPDX-License-Identifier: MIT
"""From a booting system to its shell: a login dialogue, or just a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.console.console import Console, Match
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import ConfigurationError, DeadlineExpired

_MAX_LOGINS = 3
_NUDGES = 10

_ANY_PROMPT = r"[$#%>] ?$"
"""What a shell may show before login_commands; what is typed earlier, a login throws away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a system lets one in; the names are those of LAVA's device configuration."""

    test_image_prompts: Sequence[str]
    """Regular expressions, one of which the shell's prompt matches."""
    login_prompt: str = ""
    username: str = ""
    password_prompt: str = ""
    password: str = ""
    login_commands: Sequence[str] = ()
    """Typed after the login and before a prompt is looked for, such as ``sudo su``."""


def login_of(config: DeviceConfig, *prompts: str) -> Login:
    """How a device's configuration says to log in; `prompts` are looked for first."""
    return Login(
        test_image_prompts=(*prompts, *config.test_image_prompts),
        login_prompt=config.login_prompt,
        username=config.username,
        password_prompt=config.password_prompt,
        password=config.password,
        login_commands=config.login_commands,
    )


def reach_shell(console: Console, login: Login, deadline: Deadline) -> None:
    """Answer the login dialogue, if there is one, until a shell's prompt shows."""
    prompts = list(login.test_image_prompts)
    # Many systems greet with "Last login: ...", which asks for nothing.
    login_prompt = f"(?<!Last )(?:{login.login_prompt})" if login.login_prompt else ""
    dialogue = [text for text in (login_prompt, login.password_prompt) if text]
    to_type: Sequence[str] = ()
    logins = 0
    while True:
        patterns = [*prompts, *dialogue, *([_ANY_PROMPT] if to_type else [])]
        match = _expect_nudging(console, patterns, deadline)
        if not len(prompts) <= match.index < len(prompts) + len(dialogue):
            if not to_type:
                return
            for command in to_type:
                console.send_line(command, deadline)
            to_type = ()
            continue
        asked_for = dialogue[match.index - len(prompts)]
        if asked_for == login_prompt:
            logins += 1
            if logins > _MAX_LOGINS:
                raise ConfigurationError(
                    f"the system refused the login of {login.username!r}",
                    hint="check username and password of the device or the deploy action",
                )
            console.send_line(login.username, deadline)
        else:
            console.send_line(login.password, deadline)
        if asked_for == dialogue[-1]:
            to_type = login.login_commands


def _expect_nudging(console: Console, patterns: Sequence[str], deadline: Deadline) -> Match:
    """Wait for a prompt; in the second half of the time, ask for it with Enter.

    A kernel message can tear a prompt, which never shows again by itself.
    """
    step_s = deadline.remaining_s / 2
    while True:
        try:
            return console.expect(patterns, deadline.exactly(deadline.name, step_s))
        except DeadlineExpired:
            if deadline.is_over:
                raise
            console.send_line("", deadline)
            step_s = max(1.0, deadline.limit_s / 2 / _NUDGES)
