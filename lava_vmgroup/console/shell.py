# SPDX-License-Identifier: MIT
"""A plain shell behind any login; every answer of it names the command that it belongs to.

The rules, and their reasons:

1. A plain POSIX shell replaces the login shell: bash without its start-up files, else ``sh``.  So
   the user's own settings (aliases, colours, ``TMOUT``, ``PROMPT_COMMAND``, history expansion) do
   not apply, whether the login shell is bash, zsh, fish, tcsh or another.  ``bash -p`` ignores
   exported functions and ``SHELLOPTS`` in the environment.
2. Every typed line has a number.  The prompt contains the number of the last command, and of the
   last question; so a prompt that is late, repeated, or left from another command is no answer.
   Numbers begin at a random place: a console server may repeat text of earlier jobs.
3. A command is the argument of ``eval``.  So the shell reads the whole line even if the command has
   an open quote, a syntax error or a comment, and its prompt follows.  ``\\command`` keeps aliases
   and functions from replacing ``eval``.
4. ``lava_end`` follows in the text for ``eval``.  It prints the number and the exit status, and
   puts the number into the prompt as the last one that ended.  A status of 0 counts only for a
   command that ended so.
5. A kernel message may tear the printed end and the prompt.  So after some seconds of silence the
   shell is asked for another prompt; the question keeps the exit status, and has a number of its
   own.  A running command would read the question as its input, so the question is typed only if
   the console shows pieces of an end, or no piece of a beginning.
6. If the answer shows that the shell never read the command, which was typed before the question,
   the command is typed once more.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, TestError
from lava_vmgroup.base.shell_programs import typed_program
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.framing import MARK, PROMPT, CommandProgress, framed, output_of
from lava_vmgroup.console.whereabouts import Whereabouts

_STARTED = re.compile(r"lava-shell (\d+)\r*\n")

# The blank at the beginning keeps the line out of most histories.
_START = f" exec /bin/sh -c '{typed_program('console/start_shell.sh')}' {{number}}"
_SET_UP = typed_program("console/set_up_shell.sh", "{number}")
# A slow login shell later reads all text that was typed meanwhile.  If it were replaced twice, the
# text that the first shell has read ahead would be lost.  So this probe comes before a second try.
_PROBE = "echo lava-'here'-{number}"
_HERE = re.compile(r"lava-here-(\d+)")
_PATIENT_TIMES = 2
"""Number of unanswered questions after which an open quote is assumed."""
_EQUAL_TIMES = 3
"""Number of unanswered questions after which the pauses between them grow."""
_STEP_S = 10.0
_START_S = 120.0
"""Seconds; some login shells take half a minute to their first prompt, and read nothing before."""
_HINT = (
    "the login takes no commands of a shell: see the console's log, and whether root's start-up "
    "files wait for something, or redefine exec"
)
_LAST_PROMPT_S = 60.0
_PROMPT_S = 10.0
# bash drops the character after a Ctrl-C, so that is an Enter.
_INTERRUPT, _QUIT = "\x03\n", "\x1c\n"
_INTERRUPTS = (_INTERRUPT, _INTERRUPT, _QUIT)

_NUMBERS = itertools.count(100_000 + secrets.randbelow(800_000))


class Shell:
    """A shell that waits for commands on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._number = 0
        self._status = 0
        self._command = ""

    @classmethod
    def prepare(cls, console: Console, deadline: Deadline) -> Shell:
        """Replace the shell that waits on `console` by a plain one, and return that.

        Raises `DeadlineExpired` when the shell there does not accept the command, and
        `InfrastructureError` when a login prompt or a boot loader is there instead.
        """
        shell = cls(console)
        limit = deadline.sub("a plain shell behind the login", _START_S)
        try:
            shell._replace_login_shell(limit)
            shell._set_up(limit)
        except DeadlineExpired as error:
            error.hint = error.hint or _HINT
            raise
        return shell

    def run(self, command: str, deadline: Deadline) -> tuple[int | None, str]:
        """Run one line of shell; return its exit status and its output without escapes.

        Blocks until the line ends; for a status of None see `finish`.  Raises `DeadlineExpired`
        when it does not end in time; it then still runs, see `interrupt`.
        """
        self.start(command, deadline)
        return self.finish(deadline)

    def start(self, command: str, deadline: Deadline) -> None:
        """Type one line of shell; the caller may read its output, and then calls `finish`."""
        self._number = next(_NUMBERS)
        self._command = command
        self._type_command(deadline)

    def finish(self, deadline: Deadline) -> tuple[int | None, str]:
        """Block until the line of `start` ends; return its exit status and unread output.

        The status is None if the shell shows its prompt although the command has not ended: the
        shell did not run it, or not as it stands.  Raises `InfrastructureError` if the shell does
        not read it.
        """
        progress, typed_again = CommandProgress(self._number), False

        def ask() -> None:
            if progress.allows_question(self.console.unread):
                progress.asked = self._ask(deadline)

        nudge = self._unless_lost(ask, deadline)
        while True:
            match = self.console.expect([MARK, PROMPT], deadline, nudge)
            if progress.take(match):
                self._status = progress.status
                return progress.verdict, output_of(progress.text)
            if progress.was_never_read:
                if typed_again:
                    raise self._deaf()
                progress, typed_again = CommandProgress(self._number), True
                self._type_command(deadline)

    def await_prompt(self, deadline: Deadline) -> None:
        """Block until the prompt comes, after the command of `start` has reported its end.

        Raises `InfrastructureError` when it does not come within a minute.
        """
        try:
            self.finish(deadline.sub("the shell's prompt", _LAST_PROMPT_S))
        except DeadlineExpired as error:
            if deadline.is_over:
                raise
            raise InfrastructureError(
                "the shell's prompt does not come", last_lines=error.last_lines
            ) from error

    def check_run(self, command: str, deadline: Deadline) -> str:
        """Run one line of shell that must succeed, and return its output.

        Raises `InfrastructureError` if its exit status is not 0.
        """
        status, output = self.run(command, deadline)
        if status != 0:
            raise InfrastructureError(
                f"on the console, {command[:120]!r} ended with status {status}",
                last_lines=output.splitlines()[-20:],
            )
        return output

    def interrupt(self, deadline: Deadline) -> None:
        """End a command that did not end in time, so that `run` can be used again.

        Types Ctrl-C, and then the quit character.  Raises `TestError` when the prompt does not come
        back.
        """
        for attempt, key in enumerate(_INTERRUPTS):
            self.console.send(key, deadline)
            asked = self._ask(deadline)
            # Each key gets an equal share of the remaining time.
            fair_s = deadline.remaining_s / (len(_INTERRUPTS) - attempt)
            limit = deadline.exactly("the shell's prompt", min(_PROMPT_S * deadline.scale, fair_s))
            try:
                while True:
                    match = self.console.expect([PROMPT], limit)
                    if int(match.found[2]) == asked:
                        self._status = int(match.found[4])
                        return
            except DeadlineExpired:
                if deadline.is_over:
                    raise
        raise TestError(
            "the shell did not come back after Ctrl-C", last_lines=self.console.last_lines
        )

    def _replace_login_shell(self, deadline: Deadline) -> None:
        started = self._say(_START, deadline)
        probed = 0

        def probe() -> None:
            nonlocal probed
            probed = self._say(_PROBE, deadline)

        nudge = self._unless_lost(self._closing_quotes(probe, deadline), deadline)
        while True:
            match = self.console.expect([_STARTED, _HERE], deadline, nudge, longest_s=_STEP_S)
            number = int(match.found[1])
            if match.index == 0 and number == started:
                return
            if match.index == 1 and number == probed:
                started = self._say(_START, deadline)

    def _set_up(self, deadline: Deadline) -> None:
        asked = 0

        def say() -> None:
            nonlocal asked
            asked = self._say(_SET_UP, deadline)

        say()
        nudge = self._unless_lost(self._closing_quotes(say, deadline), deadline)
        while True:
            match = self.console.expect([PROMPT], deadline, nudge, longest_s=_STEP_S)
            if int(match.found[2]) == asked:
                return

    def _closing_quotes(self, say: Callable[[], None], deadline: Deadline) -> Callable[[], None]:
        """Return a function that calls `say`; within pauses, which grow, it does nothing.

        From the third time on, it types a quote first.  A line that came damaged may have left a
        quote open, which this closes; if none was open, the next one closes it.  Ctrl-C could end a
        shell that is just starting.  A system that takes long for each line answers within one of
        the pauses; without them it would always be one quote behind.
        """
        times, due = 0, 0.0

        def say_anew() -> None:
            nonlocal times, due
            if time.monotonic() < due:
                return
            times += 1
            if times > _PATIENT_TIMES:
                self.console.send_line("'", deadline)
            say()
            due = time.monotonic() + max(0, times - _EQUAL_TIMES) * _STEP_S

        return say_anew

    def _deaf(self) -> InfrastructureError:
        return InfrastructureError(
            f"the shell does not take the command {self._command[:120]!r}",
            hint="has a command before it changed the shell?",
            last_lines=self.console.last_lines,
        )

    def _say(self, line: str, deadline: Deadline) -> int:
        """Type a line with a new number, and return the number."""
        number = next(_NUMBERS)
        self.console.send_line(line.replace("{number}", str(number)), deadline)
        return number

    def _ask(self, deadline: Deadline) -> int:
        """Ask the shell for another prompt; return the number of the question."""
        return self._say("lava_ask {number}", deadline)

    def _unless_lost(self, say: Callable[[], None], deadline: Deadline) -> Callable[[], None]:
        """Return a function that calls `say` if `Whereabouts.look` allows a question."""
        whereabouts = Whereabouts(self.console)

        def nudge() -> None:
            if whereabouts.look(deadline):
                say()

        return nudge

    def _type_command(self, deadline: Deadline) -> None:
        line = framed(self._command, self._number, self._status)
        self.console.send_line(line, deadline)
