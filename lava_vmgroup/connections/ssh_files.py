# SPDX-License-Identifier: MIT
"""SFTP sessions, and the ways to start the host's server for them."""

from __future__ import annotations

from functools import partial

import paramiko

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, LinkLost
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections import ssh_commands
from lava_vmgroup.connections.ssh_channels import CONNECTION_ERRORS, shut
from lava_vmgroup.connections.ssh_connections import Connections, has_ended

FILE_ERRORS = (*CONNECTION_ERRORS, paramiko.SFTPError)
"""The errors that paramiko raises when an SFTP session fails."""


def open_sftp(connections: Connections, deadline: Deadline) -> paramiko.SFTPClient:
    """Start an SFTP session: by sshd's own way, else by starting the server's program.

    Raises `InfrastructureError` when the host has no SFTP server, and `LinkLost` when the
    connection breaks off.
    """
    refusal: Exception | None = None
    for start in (_start_configured, _start_program):
        try:
            return start(connections, deadline)
        except LinkLost:
            raise
        except (*FILE_ERRORS, InfrastructureError) as error:
            deadline.check()
            refusal = error
    raise InfrastructureError(
        f"{connections.name} offers no SFTP",
        hint="install openssh-sftp-server in the host's image",
    ) from refusal


def _start_configured(connections: Connections, deadline: Deadline) -> paramiko.SFTPClient:
    def request(channel: paramiko.Channel) -> None:
        channel.invoke_subsystem("sftp")

    return _client(connections.session(deadline, request), deadline)


def _start_program(connections: Connections, deadline: Deadline) -> paramiko.SFTPClient:
    # The login shell with which sshd starts the configured server may print text that is no SFTP.
    argv = sh_command("connections/sftp_server.sh")
    request = partial(ssh_commands.request, argv=argv)
    channel = connections.session(deadline, request)
    ssh_commands.await_begin(channel, deadline)
    return _client(channel, deadline)


def _client(channel: paramiko.Channel, deadline: Deadline) -> paramiko.SFTPClient:
    try:
        with deadline.ending(partial(shut, channel)):
            return paramiko.SFTPClient(channel)
    except FILE_ERRORS as error:
        shut(channel)
        if has_ended(channel.get_transport()):
            raise LinkLost("the connection to the host's files broke off") from error
        raise
