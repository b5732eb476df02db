# SPDX-License-Identifier: MIT
"""Recognises, in the silence of a console, that something else than a shell waits there."""

from __future__ import annotations

import re

from lava_vmgroup.console.console import Console
from lava_vmgroup.console.escapes import without_escapes
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError

_LOGIN = re.compile(r"(?:\S+ )?login: ?")
_BOOT_LOADER = re.compile(r"(?:=>|U-Boot(?: \S+)?[#>]|barebox\S*:/ ?\S*|grub>|Shell>) ?")


class Whereabouts:
    """Watches how the console of a shell ends while the shell does not answer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._suspected = ""

    def look(self, deadline: Deadline) -> bool:
        """Return whether the shell may still be there; call it some seconds after the last text.

        The second silence behind the same prompt of a login or a boot loader is proof and raises
        `InfrastructureError`: a program of the user's may print such words once.  A login gets an
        Enter in between, which makes it ask again; a boot loader would repeat its last command.
        """
        line = without_escapes(self._console.last_lines[-1]) if self._console.last_lines else ""
        login = _LOGIN.fullmatch(line)
        if not login and not _BOOT_LOADER.fullmatch(line):
            self._suspected = ""
            return True
        if self._suspected == line:
            raise InfrastructureError(
                "the shell is gone: the console shows "
                + ("a login prompt" if login else "the prompt of a boot loader"),
                hint="see the console's log for what ended the shell",
                last_lines=self._console.last_lines,
            )
        self._suspected = line
        if login:
            self._console.send_line("", deadline)
        return False
