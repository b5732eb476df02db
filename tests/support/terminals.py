# SPDX-License-Identifier: MIT
"""Login shells on terminals of this machine, as a board's console has them."""

from __future__ import annotations

import shlex

LOGIN_SHELLS = {
    "bash": "bash --norc --noprofile -i",
    "dash": "dash -i",
    "busybox": "busybox sh -i",
    "zsh": "zsh -f -i",
    "fish": "fish --no-config -i",
    "tcsh": "tcsh -f -i",
    "mksh": "mksh -i",
}
"""The shells that root may have, without the start-up files of the tests' user."""


def on_terminal(command: str) -> str:
    """Return a command that runs `command` on a terminal with signals, echo and lines."""
    return f"setsid --ctty --wait sh -c {shlex.quote(f'stty sane; exec {command}')}"
