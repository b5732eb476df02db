# SPDX-License-Identifier: MIT
"""The way from a booting system to its shell: a login dialogue, or only a prompt."""

from __future__ import annotations

import enum
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, DeadlineExpired
from lava_vmgroup.base.user_pattern import UserPattern
from lava_vmgroup.config.boot_keys import KNOWN_PROMPTS
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.escapes import last_line, plain
from lava_vmgroup.console.events import Match
from lava_vmgroup.console.prompts import Anywhere, LastLine, is_quiet, line_of, swallow

_MAX_LOGINS = 3
_NUDGE_S = 20.0
"""Seconds of silence before Enter is pressed: a kernel message can tear a prompt, and the system
never repeats it by itself."""
_NUDGES = 10
"""Number of times to press Enter in the second half of the time."""
_QUIET_S = 1.0
_ASKING_S = 5.0
"""Seconds to wait at a question without an answer: the system may still log in by itself."""
_PAUSE_S = 3.0
_STRANGE = 3
"""Number of times to press Enter at a prompt that is not the wanted one, before giving up."""

# A boot loader has ``echo``, too, but no ``sh -c``.  With fish and tcsh, ``sh -c`` works.
_PROBE = "sh -c 'test 0 = $(id -u) && echo lava-\"root\"-{number}'"
_PROOF = "lava-root-{number}(?!\\d)"

_ANY_PROMPT = re.compile(r"[$#%>] ?$")
"""A shell's prompt before login_commands; a login drops text that is typed earlier."""
_LOGIN = re.compile(r"(?:^|\s)[Ll]ogin: ?$")
_PASSWORD = re.compile(r"(?i)^(?:password(?: for \S{1,64})?|\S{1,64}'s password): ?$")
_KNOWN = tuple(re.compile(rf"^(?:{pattern})\s*$") for pattern in KNOWN_PROMPTS)
_ACTIVATE = r"(?i)please press enter to activate this console"
_NOT_YET = r"System is booting up\. Unprivileged users are not permitted"
_RENEWAL = (
    r"(?im)required to change your password|must change your password|password has expired"
    r"|^(?:enter )?new (?:unix )?password: ?|^(?:current|old) (?:unix )?password: ?"
    r"|create (?:a )?(?:new )?root password: ?"
)
_REFUSED = r"(?i)account (?:has expired|is (?:locked|disabled|currently not available))"
_FIRST_BOOT = (
    r"-- Press any key to proceed --|Please enter new username:"
    r"|Please make a selection from the above"
)


class _Sight(enum.Enum):
    """The prompts and questions of a console on the way to a shell."""

    LOGIN = enum.auto()
    PASSWORD = enum.auto()
    SHELL = enum.auto()
    """A prompt that the lab or the job names."""
    KNOWN_SHELL = enum.auto()
    """A prompt that looks like a root shell's."""
    PROVEN_SHELL = enum.auto()
    """A root shell that has run the probe; its prompt may look like anything."""
    ANY_SHELL = enum.auto()
    """The shell of a user whom login_commands make root."""
    ACTIVATE = enum.auto()
    NOT_YET = enum.auto()
    RENEWAL = enum.auto()
    REFUSED = enum.auto()
    FIRST_BOOT = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The prompts of a login and the answers, by the names of LAVA's device configuration."""

    test_image_prompts: Sequence[str]
    """Regular expressions, one of which the shell's prompt matches."""
    login_prompt: str = ""
    username: str = ""
    password_prompt: str = ""
    password: str = ""
    login_commands: Sequence[str] = ()
    """Commands, such as ``sudo su``, typed between the login and the shell's prompt."""


def login_of(config: DeviceConfig, *prompts: str) -> Login:
    """Return the login in a device's configuration; `prompts` are looked for before its own."""
    return Login(
        test_image_prompts=(*prompts, *config.test_image_prompts),
        login_prompt=config.login_prompt,
        username=config.username,
        password_prompt=config.password_prompt,
        password=config.password,
        login_commands=config.login_commands,
    )


def reach_shell(
    console: Console, login: Login, deadline: Deadline, *, silence_s: float = 0.0
) -> None:
    """Answer the login dialogue, if there is one, and block until a shell's prompt shows.

    `silence_s` is ``console_silence``: the seconds for which the console may be silent.  Raises
    `ConfigurationError` if the system refuses the login or asks for something that the
    configuration does not contain, and `DeadlineExpired`.
    """
    dialogue = _Dialogue(console, login, deadline, max(_NUDGE_S * deadline.scale, 2 * silence_s))
    try:
        dialogue.run()
    except DeadlineExpired as error:
        if deadline.expired and console.last_lines:
            line = plain(console.last_lines[-1]).strip()
            error.hint = (
                f"the console's last line is {line!r}; if that is the prompt of the system's "
                "shell, test_image_prompts lacks it"
            )
        raise


class _Dialogue:
    """The way from a booting system to its shell."""

    def __init__(
        self, console: Console, login: Login, deadline: Deadline, patience_s: float
    ) -> None:
        self._console = console
        self._login = login
        self._deadline = deadline
        self._patience_s = patience_s
        self._half_s = deadline.remaining_s / 2
        self._to_type: Sequence[str] = ()
        self._takes_any = any(one in KNOWN_PROMPTS for one in login.test_image_prompts)
        self._nudged_line = ""
        self._nudged_at = 0.0
        # A console server may repeat the proof of an earlier job.
        self._number = secrets.randbelow(900_000) + 100_000
        self._logins = 0
        self._strange = 0

    def run(self) -> None:
        """Answer the system until the shell's prompt shows."""
        while True:
            sight, match = self._next()
            if sight is _Sight.ANY_SHELL:
                self._type_commands()
            elif sight in (_Sight.SHELL, _Sight.PROVEN_SHELL, _Sight.KNOWN_SHELL):
                if self._to_type:
                    self._type_commands()
                elif sight is not _Sight.KNOWN_SHELL or self._believes(line_of(match)):
                    return
            else:
                self._answer(sight, match)

    def _sights(self) -> list[tuple[_Sight, Any]]:
        """Return the patterns to look for; of matches at the same place, the first counts."""
        login = self._login
        sights: list[tuple[_Sight, Any]] = [
            (_Sight.RENEWAL, Anywhere(_RENEWAL)),
            (_Sight.FIRST_BOOT, Anywhere(_FIRST_BOOT)),
            (_Sight.NOT_YET, Anywhere(_NOT_YET)),
            (_Sight.ACTIVATE, Anywhere(_ACTIVATE)),
            (_Sight.PROVEN_SHELL, Anywhere(_PROOF.format(number=self._number))),
        ]
        if self._logins:
            # Before a login, systemd prints this about root in emergency mode.
            sights.append((_Sight.REFUSED, Anywhere(_REFUSED)))
        sights += [
            (_Sight.SHELL, Anywhere(prompt))
            for prompt in login.test_image_prompts
            if prompt not in KNOWN_PROMPTS
        ]
        # Many systems greet with "Last login: ...", which is not a question.
        asking = f"(?<!Last )(?:{login.login_prompt})"
        sights.append(
            (_Sight.LOGIN, Anywhere(asking) if login.login_prompt else self._line(_LOGIN))
        )
        word = login.password_prompt
        sights.append((_Sight.PASSWORD, Anywhere(word) if word else self._line(_PASSWORD)))
        sights.append((_Sight.KNOWN_SHELL, self._line(*_KNOWN)))
        if self._to_type:
            sights.append((_Sight.ANY_SHELL, self._line(_ANY_PROMPT)))
        return sights

    def _line(self, *patterns: re.Pattern[str]) -> LastLine:
        """Return a test for a line that fits one of `patterns`, and no prompt of lab or job."""
        return LastLine(
            lambda line: not self._is_wanted(line) and any(one.search(line) for one in patterns)
        )

    def _is_wanted(self, line: str) -> bool:
        """Return whether `line` fits a prompt that the lab or the job names."""
        named = (one for one in self._login.test_image_prompts if one not in KNOWN_PROMPTS)
        return any(UserPattern(one).search(line) is not None for one in named)

    def _next(self) -> tuple[_Sight, Match]:
        """Block until a known prompt shows; one known only by its looks must stay for a moment."""
        sights = self._sights()
        while True:
            match = self._expect_nudging([one for _, one in sights])
            sight, pattern = sights[match.index]
            if not isinstance(pattern, LastLine):
                return sight, match
            if is_quiet(self._console, match, _QUIET_S, self._deadline):
                return sight, match

    def _expect_nudging(self, patterns: Sequence[Any]) -> Match:
        """Block until one of the patterns matches; press Enter if the console is silent for long.

        In the second half of the time Enter is also pressed while text comes.
        """
        console, deadline = self._console, self._deadline
        while True:
            before = console.last_lines
            early_s = deadline.remaining_s - self._half_s
            late = early_s <= 0
            step_s = max(1.0, self._half_s / _NUDGES) if late else min(self._patience_s, early_s)
            try:
                return console.expect(patterns, deadline.exactly(deadline.name, step_s))
            except DeadlineExpired:
                if deadline.expired:
                    raise deadline.error(console.last_lines) from None
                deadline.check()
                if late or before == console.last_lines:
                    self._nudge()

    def _nudge(self) -> None:
        """Press Enter; if the same line shows as after the last Enter, probe for a root shell.

        The probe is not typed earlier: a login that comes later would take it for a user's name.
        """
        console = self._console
        line = last_line(console.unread).strip()
        # Without an echo, the terminal shows the new prompt beside the old one.
        shows_again = line and self._nudged_line and line.endswith(self._nudged_line)
        is_back = shows_again and console.heard_at > self._nudged_at
        self._nudged_line, self._nudged_at = line, time.monotonic()
        probe = _PROBE.format(number=self._number)
        console.send_line(probe if is_back and self._takes_any else "", self._deadline)

    def _answer(self, sight: _Sight, match: Match) -> None:
        console, deadline, login = self._console, self._deadline, self._login
        match sight:
            case _Sight.LOGIN:
                self._log_in(match)
            case _Sight.PASSWORD:
                self._give_password(match)
            case _Sight.ACTIVATE:
                console.send_line("", deadline)
            case _Sight.NOT_YET:
                self._logins -= 1
                deadline.pause(_PAUSE_S)
            case _Sight.RENEWAL:
                raise ConfigurationError(
                    f"the system wants a new password of {login.username!r}",
                    hint="give the image a password that has not expired, or a console that logs "
                    "root in by itself",
                )
            case _Sight.REFUSED:
                raise self._refusal()
            case _Sight.FIRST_BOOT:
                raise ConfigurationError(
                    f"the system asks how it is to be set up: {match.found[0]!r}",
                    hint="set the image up before, such as by systemd-firstboot, so that it boots "
                    "without questions",
                )

    def _log_in(self, match: Match) -> None:
        login = self._login
        if not login.username:
            self._unanswered(match, "a login", "login_prompt and username")
            return
        if not login.login_prompt:
            swallow(self._console, self._deadline)
        self._logins += 1
        if self._logins > _MAX_LOGINS:
            raise self._refusal()
        self._console.send_line(login.username, self._deadline)
        if not (login.password or login.password_prompt):
            self._to_type = login.login_commands

    def _give_password(self, match: Match) -> None:
        login = self._login
        if not (login.password or login.password_prompt):
            self._unanswered(match, "a password", "password_prompt and password")
            return
        if not login.password_prompt:
            swallow(self._console, self._deadline)
        self._console.send_line(login.password, self._deadline)
        self._to_type = login.login_commands

    def _unanswered(self, match: Match, wanted: str, keys: str) -> None:
        """Raise `ConfigurationError` if the question stays on the console."""
        line = line_of(match)
        if is_quiet(self._console, match, _ASKING_S, self._deadline):
            raise ConfigurationError(
                f"the system asks for {wanted} ({line!r}), which the device does not say",
                hint=f"set {keys} of the device or of the deploy action",
            )

    def _refusal(self) -> ConfigurationError:
        return ConfigurationError(
            f"the system refused the login of {self._login.username!r}",
            hint="check username and password of the device or the deploy action",
        )

    def _type_commands(self) -> None:
        for command in self._to_type:
            self._console.send_line(command, self._deadline)
        self._to_type = ()

    def _believes(self, line: str) -> bool:
        """Return whether `line`, which looks like a root shell's prompt, is the wanted one.

        If not, presses Enter for another look; raises `ConfigurationError` after some tries.
        """
        if self._takes_any:
            return True
        # The prompt's last character may have come after the match.
        if self._is_wanted(plain(self._console.last_lines[-1])):
            return True
        self._strange += 1
        if self._strange > _STRANGE:
            raise ConfigurationError(
                f"the system shows the prompt {line!r}, which none of test_image_prompts fits",
                hint="add it to test_image_prompts of the device, or give the boot action "
                "test_image_prompt",
            )
        swallow(self._console, self._deadline)
        self._deadline.pause(_PAUSE_S)
        self._console.send_line("", self._deadline)
        return False
