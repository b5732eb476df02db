# SPDX-License-Identifier: MIT
"""Recognises, in the silence of a console, that something else than a shell waits there."""

from __future__ import annotations

import re
import time

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.escapes import without_escapes

_LOGIN = re.compile(r"(?:\S+ )?login: ?")
_BOOT_LOADER = re.compile(r"(?:=>|U-Boot(?: \S+)?[#>]|barebox\S*:/ ?\S*|grub>|Shell>) ?")


class Whereabouts:
    """Watches how the console of a shell ends while the shell does not answer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._suspected = ""
        self._looked_at = 0.0

    def look(self, deadline: Deadline) -> bool:
        """Return whether the caller may ask the shell; call it some seconds after the last text.

        A program of the user's may print a prompt of a login or a boot loader.  The proof is that
        it comes again after something was typed, and raises `InfrastructureError`.  A login gets an
        Enter, so that it does not take the question for a name; a boot loader does not know the
        question, and would repeat its last command for an Enter.
        """
        line = without_escapes(self._console.last_lines[-1]) if self._console.last_lines else ""
        login = _LOGIN.fullmatch(line)
        if not login and not _BOOT_LOADER.fullmatch(line):
            self._suspected = ""
            return True
        if self._suspected == line and self._console.heard_at > self._looked_at:
            raise InfrastructureError(
                "the shell is gone: the console shows "
                + ("a login prompt" if login else "the prompt of a boot loader"),
                hint="see the console's log for what ended the shell",
                last_lines=self._console.last_lines,
            )
        self._suspected, self._looked_at = line, time.monotonic()
        if login:
            self._console.send_line("", deadline)
        return not login
