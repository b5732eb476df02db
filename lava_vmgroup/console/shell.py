# SPDX-License-Identifier: MIT
"""A root shell on a console, behind a prompt that tells each command's exit status."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lava_vmgroup.console.console import Console
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import DeadlineExpired, InfrastructureError, TestError

PROMPT = re.compile(r"lava-test \[rc=(\d{1,3})\]# ")

_SETUP = (
    # A typed command must not come back as output, and nothing may ask the terminal questions;
    # busybox edits lines by itself, with both, unless the terminal does so without echo.
    "stty icanon isig -echo 2>/dev/null; export TERM=dumb; PS2=",
    "PS1='lava-test [rc=$?]# '",
)
_PROMPT_S = 10.0
_TRIES = 3
_INTERRUPTS = ("\x03", "\x03", "\x1c")
"""What a terminal makes a signal of: SIGINT as long as there is hope, SIGQUIT at last."""


class Shell:
    """Runs commands on a console where a shell waits for them."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @classmethod
    def prepare(cls, console: Console, deadline: Deadline) -> Shell:
        """Make a shell that shows any prompt one that `run` can use."""
        for attempt in range(1, _TRIES + 1):
            for command in _SETUP:
                console.send_line(command, deadline)
            try:
                console.expect([PROMPT], deadline.sub("the test shell's prompt", _PROMPT_S))
                break
            except DeadlineExpired:
                # A kernel message may have torn what was typed or the prompt itself.
                if attempt == _TRIES or deadline.is_over:
                    raise
        return cls(console)

    def run(self, command: str, deadline: Deadline) -> tuple[int, str]:
        """Run one line of shell; returns its exit status and its output."""
        self.console.send_line(command, deadline)
        match = self.console.expect([PROMPT], deadline)
        return int(match.found[1]), match.before.replace("\r\n", "\n").strip("\n")

    def interrupt(self, deadline: Deadline) -> None:
        """End a command that did not end in time, so that `run` can be used again.

        Raises `TestError` when the shell does not come back.
        """
        if not self._find_prompt(_INTERRUPTS, deadline):
            raise TestError(
                "the shell did not come back after Ctrl-C", last_lines=self.console.last_lines
            )

    def await_prompt(self, deadline: Deadline) -> None:
        """Wait for the prompt after a command has said that it is done, so that `run` can be used.

        The kernel may have torn the prompt; then another one is asked for.  Raises
        `InfrastructureError` when none comes.
        """
        try:
            self.console.expect([PROMPT], deadline.sub("the shell's prompt", _PROMPT_S))
        except DeadlineExpired:
            if deadline.is_over:
                raise
            if not self._find_prompt(_TRIES * ("",), deadline):
                raise InfrastructureError(
                    "the shell's prompt does not come", last_lines=self.console.last_lines
                ) from None

    def _find_prompt(self, keys: Sequence[str], deadline: Deadline) -> bool:
        """Press each key until a prompt follows that the shell shows after it."""
        for attempt, key in enumerate(keys):
            # A prompt may have been on its way already: only a new answer tells where we are.
            # Bash swallows the character after a Ctrl-C, so that is an Enter.
            self.console.send(f"{key}\necho lava-'prompt'-{attempt}\n", deadline)
            try:
                # Each key has its time, however little there is.
                fair_s = deadline.remaining_s / (len(keys) - attempt)
                limit = deadline.sub("the shell's prompt", min(_PROMPT_S, fair_s))
                self.console.expect([re.compile(f"lava-prompt-{attempt}\r?\n")], limit)
                self.console.expect([PROMPT], limit)
            except DeadlineExpired:
                if deadline.is_over:
                    raise
            else:
                return True
        return False

    def check_run(self, command: str, deadline: Deadline) -> str:
        """Run one line of shell that must succeed; returns its output."""
        status, output = self.run(command, deadline)
        if status != 0:
            raise InfrastructureError(
                f"on the console, {command[:120]!r} ended with status {status}",
                last_lines=output.splitlines()[-20:],
            )
        return output
