# SPDX-License-Identifier: MIT
"""The public keys of a booted system's SSH server, read on its console."""

from __future__ import annotations

import re
from collections.abc import Callable

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError
from lava_vmgroup.base.shell_programs import typed_program
from lava_vmgroup.connections.known_hosts import HostKey, is_key
from lava_vmgroup.console.shell import Shell

_POLL_S = 1.0
_ROUNDS_BETWEEN_KNOCKS = 5
"""Rounds without a connection: OpenSSH penalizes clients that often connect without a login
(PerSourcePenalties)."""
_KNOCK_S = 20.0
_HOST_KEY = re.compile(r"^((?:ssh|ecdsa)-\S+) (\S+)", re.MULTILINE)


def read_host_keys(shell: Shell, deadline: Deadline) -> tuple[HostKey, ...]:
    """Return the public keys that the system's SSH server has by now."""
    _, output = shell.run(typed_program("console/read_host_keys.sh"), deadline)
    found = [(kind, key) for kind, key in _HOST_KEY.findall(output) if is_key(kind, key)]
    return tuple(dict.fromkeys(found))


def check_server(shell: Shell, deadline: Deadline) -> list[str]:
    """Return the lines that the SSH server prints when it checks itself.

    Raises `InfrastructureError` if the system has no SSH server.
    """
    status, output = shell.run(typed_program("console/check_sshd.sh"), deadline)
    if status != 0:
        raise InfrastructureError(
            "the host has no SSH server", hint="install openssh-server in its image"
        )
    return output.splitlines()


def await_host_keys(
    shell: Shell, knock: Callable[[Deadline], None], deadline: Deadline
) -> tuple[HostKey, ...]:
    """Block until the SSH server has keys, and return them.

    `knock` connects to the server, which may make its keys only at the first connection.  Raises
    `InfrastructureError` if there is no server, and `DeadlineExpired`, with the server's
    complaints.
    """
    said: list[str] = []
    rounds = 0
    try:
        while not (keys := read_host_keys(shell, deadline)):
            said = check_server(shell, deadline)
            if rounds % _ROUNDS_BETWEEN_KNOCKS == 0:
                knock(deadline.exactly("the SSH server to make its keys", _KNOCK_S))
            rounds += 1
            deadline.pause(_POLL_S)
    except DeadlineExpired as late:
        if said:
            raise _none_came(deadline, said) from late
        raise
    return keys


def _none_came(deadline: Deadline, said: list[str]) -> DeadlineExpired:
    error = deadline.error(said)
    return DeadlineExpired(
        error.message,
        hint="they are looked for where HostKey in sshd_config says, in /etc/ssh, and in the "
        "folders of dropbear below /etc, /var/lib and /run; are there keys (ssh-keygen -A or "
        "dropbearkey makes them), and is their folder writable?",
        last_lines=said,
    )
