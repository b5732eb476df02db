# SPDX-License-Identifier: MIT
"""Commands for the host, sent through the login shell of its user.

The SSH server passes every command to that login shell.  The rules, and their reasons:

1. The login shell may be any shell, with its own syntax.  So it gets only a line that starts the
   host's ``sh``, in words that all shells understand alike.
2. The command is an encoded argument of that ``sh``, in characters that no shell changes.
3. The login shell reads its user's start-up files, which may print text.  So ``sh`` prints a mark
   first; text before the mark is not the command's output.
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
"""Characters that have a meaning for some shell even within single quotes."""
_MARK = secrets.token_hex(8)
_LONGEST_FOREWORD = 256 << 10
"""Limit of bytes that a login shell may print before the mark."""
_QUOTED_CHARACTERS = 300
_ANSWER_S = 5.0
_COLUMNS = 1024
"""The terminal's width in characters; shells break the echo of longer lines."""

_START_UP_FILES = (
    "start-up files, such as ~/.bashrc, ~/.zshenv, ~/.tcshrc or config.fish, may print text but "
    "must neither end the shell, replace it nor read its input where there is no terminal; "
    "ForceCommand in sshd_config, command= in authorized_keys and a login shell like nologin "
    "keep commands from running, too"
)


def give_terminal(channel: paramiko.Channel) -> None:
    """Request a terminal for the command that will be started in `channel`.

    Raises `InfrastructureError` if the server refuses it, and paramiko's errors if the connection
    broke off.
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
    """Return the error for the host `name`, which did not start a command within `limit`."""
    return InfrastructureError(
        f"the login shell of {name} does not begin with a command within {limit.limit_s:g} s",
        hint=_START_UP_FILES,
    )


def request(
    channel: paramiko.Channel, argv: Sequence[str], *, merge: bool = False, terminal: bool = False
) -> None:
    """Ask the server to start a command in `channel`.

    `merge` sends the command's standard error to its output.  Raises as `give_terminal` does, and
    paramiko's errors.
    """
    if terminal:
        give_terminal(channel)
    channel.exec_command(_command_line(argv, merge=merge))


def await_begin(channel: paramiko.Channel, deadline: Deadline) -> None:
    """Block until the command in `channel` runs; the caller must not send input before.

    If the command does not begin, closes the channel and raises `InfrastructureError`, `LinkLost`,
    or the errors of paramiko and `Deadline.check`.
    """
    try:
        with deadline.ending(partial(shut, channel)):
            _skip_foreword(channel, deadline)
    except BaseException:
        shut(channel)
        raise


def _command_line(argv: Sequence[str], *, merge: bool) -> str:
    # The mark is in two pieces, so that a login shell that prints its command line does not print
    # the mark.  A TMOUT set by the user would end ``read`` in scripts.
    errors = "2>&1" if merge else ""
    # The output of these commands is data; some shells warn of a locale that the host lacks.
    locale = "LC_ALL=C; export LC_ALL; " if merge else ""
    program = f'unset TMOUT; {locale}echo lava-"begin"-{_MARK}; exec {shlex.join(argv)} {errors}'
    return f"""exec /bin/sh -c 'eval "$(printf %b "$0")"' '{_encoded(program)}'"""


def _encoded(text: str) -> str:
    """Return `text` for ``printf %b``, in characters that no shell changes within single quotes."""
    characters = map(chr, text.encode())
    return "".join(
        one if " " <= one <= "~" and one not in _SPECIAL else f"\\0{ord(one):03o}"
        for one in characters
    )


def _skip_foreword(channel: paramiko.Channel, deadline: Deadline) -> None:
    """Read the channel up to the mark, and nothing after it."""
    end = f"lava-begin-{_MARK}".encode()
    foreword = bytearray()
    while True:
        byte = channel.recv(1)
        if not byte:
            raise _not_begun(channel, foreword, deadline)
        foreword += byte
        last_line = foreword.rfind(b"\n", 0, -1) + 1
        if byte == b"\n" and foreword[last_line:].rstrip().endswith(end):
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
    """Return the last lines that the login shell printed, those on its standard error included."""
    errors = bytearray()
    channel.settimeout(_ANSWER_S)
    with suppress(*CONNECTION_ERRORS):
        while len(errors) < _LONGEST_FOREWORD and (chunk := channel.recv_stderr(CHUNK)):
            errors += chunk
    text = (foreword + errors).decode(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()][-20:]
