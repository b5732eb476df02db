# SPDX-License-Identifier: MIT
"""Opening a booted system to SSH from its console, where nobody can come between.

The system's own keys are read there and the job's key is authorized there, so neither side has
to trust the network.  A watch that runs in the system takes the key away again when nothing comes
of it, as when the dispatcher is killed in that moment.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.ssh_access import Access, Address
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError
from lava_vmgroup.log import NodeLog

_NETWORK_S = 300.0
_SSHD_S = 60.0
_POLL_S = 0.3
_UNCLAIMED_S = 150
"""Longer than connecting and starting the supervisor may take."""
_MARK = "lava-vmgroup-"
_IP = re.compile(r"\bsrc (\d+\.\d+\.\d+\.\d+)\b")
_HOST_KEY = re.compile(r"^((?:ssh|ecdsa)-\S+) (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A system that accepts the job's key."""

    ip: str
    """Its address on the dispatcher's network, as it sees it itself."""
    access: Access


def open_to_ssh(
    shell: Shell,
    config: DeviceConfig,
    server_ip: str,
    key: JobKey,
    job: str,
    *,
    claim: str = "",
    log: NodeLog,
    deadline: Deadline,
) -> Opened:
    """Find out how to reach the system, and authorize `key`, marked as that of `job`.

    It stays authorized if, soon enough, the file `claim` tells that somebody looks after it.
    `server_ip` is the dispatcher's address.  Raises `InfrastructureError` when the system has no
    SSH server.
    """
    host_keys = _read_host_keys(shell, deadline.sub("the host's SSH keys", _SSHD_S))
    log.event("state", "looking for the host's address", state="waiting for network")
    ip = _find_ip(shell, server_ip, deadline.sub("the host's network", _NETWORK_S))
    _authorize(shell, key, job, claim, deadline.sub("authorizing the job's key", _SSHD_S))
    address = Address(
        host=config.ssh_host or ip,
        port=config.ssh_port,
        username=config.ssh_username,
        host_keys=host_keys,
        patience_s=config.host_heartbeat_timeout,
    )
    return Opened(ip=ip, access=Access(address=address, key=key))


def _find_ip(shell: Shell, server_ip: str, deadline: Deadline) -> str:
    """The address of the interface towards the dispatcher, once there is one."""
    while True:
        _, output = shell.run(f"ip -4 route get {shlex.quote(server_ip)}", deadline)
        if (found := _IP.search(output)) and not found[1].startswith("127."):
            return found[1]
        deadline.pause(_POLL_S)


def _authorize(shell: Shell, key: JobKey, job: str, claim: str, deadline: Deadline) -> None:
    # The system has just started, so what earlier jobs have left is nobody's.
    shell.run(f"sed -i '/ {_MARK}[^ ]*$/d' ~/.ssh/authorized_keys 2>/dev/null", deadline)
    line = key.authorized_line(f"{_MARK}{job}")
    # A last line without an end would swallow ours.
    end_last_line = '[ -z "$(tail -c 1 ~/.ssh/authorized_keys 2>/dev/null)" ] || echo'
    # One line to type: the key is there with its watch, or not at all.
    shell.check_run(
        f"(umask 077; mkdir -p ~/.ssh && {{ {end_last_line}; echo {shlex.quote(line)}; }} "
        f">>~/.ssh/authorized_keys) && {_watch(job, claim, round(_UNCLAIMED_S * deadline.scale))}",
        deadline,
    )


def _watch(job: str, claim: str, looks: int) -> str:
    """Shell code that removes the job's key unless it is claimed before so many looks.

    It outlives the console, and its shell says nothing of it.
    """
    ours = f" {_MARK}{job.replace('.', '[.]')}$"
    remove = f"sed -i '/{ours}/d' $f; [ -s $f ] || rm $f"
    return (
        f"""( (trap "" HUP; f=~/.ssh/authorized_keys n={looks}; """
        f"""while grep -q '{ours}' $f && [ ! -e {shlex.quote(claim)} ]; do sleep 1; """
        f"""n=$((n-1)); [ $n -gt 0 ] || {{ {remove}; }}; done) </dev/null >/dev/null 2>&1 &)"""
    )


def _read_host_keys(shell: Shell, deadline: Deadline) -> tuple[tuple[str, str], ...]:
    while True:
        _, output = shell.run("cat /etc/ssh/ssh_host_*_key.pub", deadline)
        if keys := tuple((name, key) for name, key in _HOST_KEY.findall(output)):
            return keys
        servers = "[ -x /usr/sbin/sshd ] || command -v sshd || command -v dropbear"
        if shell.run(servers, deadline)[0] != 0:
            raise InfrastructureError(
                "the host has no SSH server", hint="install openssh-server in its image"
            )
        deadline.pause(_POLL_S)
