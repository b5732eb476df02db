# SPDX-License-Identifier: MIT
"""A shell of ours behind any login, whose every answer names the command that it belongs to.

The rules, and their reasons:

1. A plain POSIX shell replaces the login shell: bash without its start-up files, else ``sh``.  What
   people set up for themselves (aliases, colours, ``TMOUT``, ``PROMPT_COMMAND``, history expansion)
   stays behind, whether their shell is bash, zsh, fish, tcsh or another.  ``bash -p`` takes neither
   exported functions nor ``SHELLOPTS`` from the environment.
2. Every typed line has a number.  The prompt shows the number of the last command, and of the last
   question; so a prompt that is late, repeated, or left from another command answers for nothing.
   Numbers begin at a random place: a console server may repeat what it showed to earlier jobs.
3. A command is the argument of ``eval``: whatever it holds (an open quote, a syntax error, a
   comment), the shell reads the whole line, and its prompt follows.  ``\\command`` has neither an
   alias nor a function take the place of ``eval``.
4. ``lava_end`` follows in what is evaluated.  It prints the number and the exit status, and has the
   prompt show the number as the last one that ended.  A status of 0 counts only for a command that
   ended so.
5. A kernel's line may tear both.  After some seconds of silence the shell is asked for another
   prompt; the question keeps the exit status, and has a number of its own.  A command that runs is
   not asked, for it would read the question as its input: there must be pieces of an end, or no
   piece of a beginning.
6. If the answer shows that the shell never read the command, which was typed before the question,
   it is typed once more.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Callable

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError, TestError
from lava_vmgroup.base.shell_programs import typed_program
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.framing import MARK, PROMPT, Progress, framed, output_of
from lava_vmgroup.console.whereabouts import Whereabouts

_STARTED = re.compile(r"lava-shell (\d+)\r*\n")

# The blank at its beginning keeps it out of most histories.
_START = f" exec /bin/sh -c '{typed_program('console/start_shell.sh')}' {{number}}"
_SET_UP = typed_program("console/set_up_shell.sh", "{number}")
# A login shell that is late reads all text typed meanwhile.  It must not be replaced twice: the
# text that a shell has read ahead is lost with it.
_PROBE = "echo lava-'here'-{number}"
_HERE = re.compile(r"lava-here-(\d+)")
_PATIENT_TIMES = 2
"""Questions without an answer after which a quote is taken to be open."""
_STEP_S = 10.0
_START_S = 120.0
"""Some login shells take half a minute to their first prompt, and read nothing before."""
_HINT = (
    "the login takes no commands of a shell: see the console's log, and whether root's start-up "
    "files wait for something, or redefine exec"
)
_LAST_PROMPT_S = 60.0
_PROMPT_S = 10.0
# Bash swallows the character after a Ctrl-C, so that is an Enter.
_INTERRUPT, _QUIT = "\x03\n", "\x1c\n"
_INTERRUPTS = (_INTERRUPT, _INTERRUPT, _QUIT)

_NUMBERS = itertools.count(100_000 + secrets.randbelow(800_000))


class Shell:
    """Runs commands on a console where a shell waits for them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._number = 0
        self._status = 0
        self._command = ""

    @classmethod
    def prepare(cls, console: Console, deadline: Deadline) -> Shell:
        """Start a shell of ours where any shell waits for commands.

        Raises `DeadlineExpired` when the shell there does not take the command, and
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

        The status is None for a command that the shell did not run to its end; see `finish`.

        Raises `DeadlineExpired` when it does not end in time; it then still runs, see `interrupt`.
        """
        self.start(command, deadline)
        return self.finish(deadline)

    def start(self, command: str, deadline: Deadline) -> None:
        """Type one line of shell, and let the caller read what it prints; `finish` follows."""
        self._number = next(_NUMBERS)
        self._command = command
        self._type_command(deadline)

    def finish(self, deadline: Deadline) -> tuple[int | None, str]:
        """Wait for the end of what `start` typed; return its exit status and unread output.

        The status is None when the shell went on with the next line, and the command has not ended:
        the shell did not run it, or not as it stands.
        """
        progress, typed_again = Progress(self._number), False

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
                progress, typed_again = Progress(self._number), True
                self._type_command(deadline)

    def await_prompt(self, deadline: Deadline) -> None:
        """Wait for the prompt after the command of `start` has said that it is done.

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
        """Run one line of shell that must succeed; return its output."""
        status, output = self.run(command, deadline)
        if status != 0:
            raise InfrastructureError(
                f"on the console, {command[:120]!r} ended with status {status}",
                last_lines=output.splitlines()[-20:],
            )
        return output

    def interrupt(self, deadline: Deadline) -> None:
        """End a command that did not end in time, so that `run` can be used again.

        Raises `TestError` when the shell does not come back.
        """
        for attempt, key in enumerate(_INTERRUPTS):
            self.console.send(key, deadline)
            asked = self._ask(deadline)
            # Each key has its time, however little there is.
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
        """Call `say`; from the third time on, type a quote before it.

        A line that came damaged may have left a quote open, which this closes; if none was open,
        the next one closes its own.  Ctrl-C could end a shell that is just starting.
        """
        times = 0

        def say_anew() -> None:
            nonlocal times
            times += 1
            if times > _PATIENT_TIMES:
                self.console.send_line("'", deadline)
            say()

        return say_anew

    def _deaf(self) -> InfrastructureError:
        return InfrastructureError(
            f"the shell does not take the command {self._command[:120]!r}",
            hint="has a command before it changed the shell?",
            last_lines=self.console.last_lines,
        )

    def _say(self, line: str, deadline: Deadline) -> int:
        """Type a line with a new number, and return that."""
        number = next(_NUMBERS)
        self.console.send_line(line.replace("{number}", str(number)), deadline)
        return number

    def _ask(self, deadline: Deadline) -> int:
        """Have the prompt shown again, with the number that this returns."""
        return self._say("lava_ask {number}", deadline)

    def _unless_lost(self, say: Callable[[], None], deadline: Deadline) -> Callable[[], None]:
        """Call `say` unless it would be said to a login or a boot loader."""
        whereabouts = Whereabouts(self.console)

        def nudge() -> None:
            if whereabouts.look(deadline):
                say()

        return nudge

    def _type_command(self, deadline: Deadline) -> None:
        line = framed(self._command, self._number, self._status)
        self.console.send_line(line, deadline)
