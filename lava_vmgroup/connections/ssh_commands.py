# SPDX-License-Identifier: MIT
"""The border between us and a user's login shell, which runs each command that we send.

That shell may be any, with a syntax of its own, and reads start-up files of its user, which may
print text.  So it is only told to start the host's ``sh``, in words that mean the same to all
shells; the rest is encoded.  The ``sh`` prints a mark first: text before it is not the command's.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import paramiko

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost
from lava_vmgroup.connections.ssh_channels import CONNECTION_ERRORS, broke_off, shut
from lava_vmgroup.connections.stream import CHUNK

_SPECIAL = "'\\!"
"""Characters that some shell takes for its own within single quotes."""
_MARK = secrets.token_hex(8)
_LONGEST_FOREWORD = 256 << 10
_QUOTED_CHARACTERS = 300
_ANSWER_S = 5.0
_COLUMNS = 1024
"""A terminal's width; shells break the echo of longer lines."""

_START_UP_FILES = (
    "start-up files, such as ~/.bashrc, ~/.zshenv, ~/.tcshrc or config.fish, may print text but "
    "must neither end the shell, replace it nor read its input where there is no terminal; "
    "ForceCommand in sshd_config, command= in authorized_keys and a login shell like nologin "
    "keep commands from running, too"
)


def give_terminal(channel: paramiko.Channel) -> None:
    """Give the command that will be started in a channel a terminal.

    Raises `InfrastructureError` when the server does not; what `channel` raises comes as it is.
    """
    try:
        channel.get_pty(term="dumb", width=_COLUMNS, height=24)
    except paramiko.SSHException as error:
        if broke_off(channel) and not channel.get_transport().is_active():
            raise
        raise InfrastructureError(
            "the host's SSH server gives no terminal, which a console needs",
            hint="see PermitTTY in sshd_config there, and no-pty and restrict in authorized_keys",
        ) from error


def not_in_time(name: str, limit: Deadline) -> InfrastructureError:
    """The error for a host that takes commands and does not begin with them."""
    return InfrastructureError(
        f"the login shell of {name} does not begin with a command within {limit.limit_s:g} s",
        hint=_START_UP_FILES,
    )


def request(
    channel: paramiko.Channel, argv: Sequence[str], *, merge: bool = False, terminal: bool = False
) -> None:
    """Have the server start a command in a channel; `merge` its errors into its output.

    Raises as `give_terminal`, and what `channel` raises as it comes.
    """
    if terminal:
        give_terminal(channel)
    channel.exec_command(_command_line(argv, merge=merge))


def await_begin(channel: paramiko.Channel, deadline: Deadline) -> None:
    """Wait until the command in a channel runs; nothing may be sent to its input before.

    Otherwise the channel is closed: raises `InfrastructureError` when the command does not begin,
    and what `channel` raises as it comes.
    """
    try:
        with deadline.ending(partial(shut, channel)):
            _skip_foreword(channel, deadline)
    except BaseException:
        shut(channel)
        raise


def _command_line(argv: Sequence[str], *, merge: bool) -> str:
    # In two pieces, so that a shell that shows what it runs does not print the mark.  A TMOUT of
    # the user's would end the reading of scripts.
    errors = "2>&1" if merge else ""
    program = f'unset TMOUT; echo lava-"begin"-{_MARK}; exec {shlex.join(argv)} {errors}'
    return f"""exec /bin/sh -c 'eval "$(printf %b "$0")"' '{_encoded(program)}'"""


def _encoded(text: str) -> str:
    """The text for ``printf %b``, in characters that no shell changes within single quotes."""
    characters = map(chr, text.encode())
    return "".join(
        one if " " <= one <= "~" and one not in _SPECIAL else f"\\0{ord(one):03o}"
        for one in characters
    )


def _skip_foreword(channel: paramiko.Channel, deadline: Deadline) -> None:
    """Read up to the mark, and nothing after it."""
    end = f"lava-begin-{_MARK}".encode()
    foreword = bytearray()
    while True:
        byte = channel.recv(1)
        if not byte:
            raise _not_begun(channel, foreword, deadline)
        foreword += byte
        if byte == b"\n" and foreword.rstrip().endswith(end):
            return
        if len(foreword) > _LONGEST_FOREWORD:
            raise InfrastructureError(
                "the host's login shell prints text without an end before it runs a command",
                hint=_START_UP_FILES,
            )


def _not_begun(
    channel: paramiko.Channel, foreword: bytearray, deadline: Deadline
) -> InfrastructureError:
    deadline.check()
    if broke_off(channel):
        return LinkLost("the connection broke off before the command began")
    lines = _said(channel, foreword)
    words = f"said {lines[-1][-_QUOTED_CHARACTERS:]!r}" if lines else "said nothing"
    return InfrastructureError(
        f"the host's login shell does not run commands: it {words} and ended with status "
        f"{channel.exit_status}",
        hint=_START_UP_FILES,
        last_lines=lines,
    )


def _said(channel: paramiko.Channel, foreword: bytearray) -> list[str]:
    errors = bytearray()
    channel.settimeout(_ANSWER_S)
    with suppress(*CONNECTION_ERRORS):
        while len(errors) < _LONGEST_FOREWORD and (chunk := channel.recv_stderr(CHUNK)):
            errors += chunk
    text = (foreword + errors).decode(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()][-20:]
