# SPDX-License-Identifier: MIT
"""The check that a silent console has not fallen back to a login or a boot loader."""

from __future__ import annotations

import re
import time

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.escapes import without_escapes

_LOGIN = re.compile(r"(?:\S+ )?login: ?")
_PASSWORD = re.compile(r"(?:\S+ )?login: .*[Pp]assword: ?")
_BOOT_LOADER = re.compile(r"(?:=>|U-Boot(?: \S+)?[#>]|barebox\S*:/ ?\S*|grub>|Shell>) ?")


class Whereabouts:
    """The check of a console's last line while its shell does not answer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._suspected = ""
        self._looked_at = 0.0

    def look(self, deadline: Deadline) -> bool:
        """Return whether the caller may type a question; call it some seconds after the last text.

        A user's program may print the prompt of a login or a boot loader.  If the prompt comes
        again after something was typed, that is the proof: raises `InfrastructureError`.  A login
        gets an Enter and no question, which it would take for a name.  A boot loader gets the
        question, which it does not know; for an Enter it would repeat its last command.  A login
        that has taken the text before for a name asks for the password, and gets an Enter, too.
        """
        line = without_escapes(self._console.last_lines[-1]) if self._console.last_lines else ""
        if self._asks_password():
            self._console.send_line("", deadline)
            return False
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

    def _asks_password(self) -> bool:
        """Return whether a login waits for a password; programs such as sudo ask for one, too."""
        last = [without_escapes(line) for line in self._console.last_lines[-2:]]
        return any(map(_PASSWORD.fullmatch, ("".join(last), last[-1] if last else "")))
