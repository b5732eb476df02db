# SPDX-License-Identifier: MIT
"""Sessions of SFTP: how the host's server for files is started."""

from __future__ import annotations

from functools import partial

import paramiko

from lava_vmgroup.connections import ssh_commands
from lava_vmgroup.connections.ssh_channels import CONNECTION_ERRORS, shut
from lava_vmgroup.connections.ssh_connections import Connections
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError

FILE_ERRORS = (*CONNECTION_ERRORS, paramiko.SFTPError)
"""The errors that paramiko raises when an SFTP session breaks off."""

# sshd starts the server by the login shell, whose start-up files may print text that is no SFTP.
# It may also be installed without being configured.  The folders are of Debian, Fedora, openSUSE
# and Arch and Alpine, Buildroot and OpenWrt, Gentoo, and NixOS.
_SERVER = """
for folder in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec /usr/lib/misc \\
    /usr/lib64/misc /run/current-system/sw/libexec; do
    [ ! -x "$folder/sftp-server" ] || exec "$folder/sftp-server"
done
exit 127
"""


def open_sftp(connections: Connections, deadline: Deadline) -> paramiko.SFTPClient:
    """Start a session.

    Raises `InfrastructureError` when the host has no server for it, and what paramiko raises when
    the connection breaks off.
    """
    refusal: Exception | None = None
    for start in (_start_configured, _start_program):
        channel = connections.session(deadline)
        try:
            with deadline.ending(partial(shut, channel)):
                start(channel, deadline)
                return paramiko.SFTPClient(channel)
        except (*FILE_ERRORS, InfrastructureError) as error:
            shut(channel)
            deadline.check()
            if not channel.get_transport().is_active():
                raise
            refusal = error
    raise InfrastructureError(
        f"{connections.name} offers no SFTP",
        hint="install openssh-sftp-server in the host's image",
    ) from refusal


def _start_configured(channel: paramiko.Channel, _deadline: Deadline) -> None:
    channel.invoke_subsystem("sftp")


def _start_program(channel: paramiko.Channel, deadline: Deadline) -> None:
    ssh_commands.start(channel, ["sh", "-c", _SERVER], deadline, merge=False)
