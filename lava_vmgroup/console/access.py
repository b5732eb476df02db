# SPDX-License-Identifier: MIT
"""Opening a booted system to SSH, from its console.

The system's own keys are read on the console and the job's key is authorized there, so no side has
to trust the network.  If the dispatcher is killed at that moment, a watch that runs in the system
removes the job's key again.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.shell_programs import typed_program
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.ssh_access import DEFAULT_KEYS_FILE, Access, Address, knock
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.console.addresses import find_address
from lava_vmgroup.console.host_keys import await_host_keys, check_server, read_host_keys
from lava_vmgroup.console.shell import Shell

_NETWORK_S = 300.0
_SSHD_S = 60.0
_UNCLAIMED_S = 150
"""Seconds until the watch removes the key; connecting and starting the supervisor take less."""
_MARK = "lava-vmgroup-"

_OPENWRT_KEYS_FILE = "/etc/dropbear/authorized_keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOwner:
    """The dispatcher, which logs in to a system with its key."""

    ip: str
    """The dispatcher's address."""
    key: JobKey
    job: str
    """The group's unique name; it marks the key on the system."""
    claim: str = ""
    """A file on the system.  If it does not appear in time, a watch there removes the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A system that accepts the job's key."""

    ip: str
    """The system's address on the dispatcher's network, as its own tools print it."""
    access: Access


def open_to_ssh(
    shell: Shell, config: DeviceConfig, owner: KeyOwner, *, log: NodeLog, deadline: Deadline
) -> Opened:
    """Find the way to reach the system, and authorize the key of `owner`.

    Raises `InfrastructureError` when the system has no SSH server or the key cannot be added, and
    `DeadlineExpired` when it has no address or no host keys in time.
    """
    if not read_host_keys(shell, deadline.sub("the host's SSH keys", _SSHD_S)):
        check_server(shell, deadline)
    log.event("state", "looking for the host's address", state="waiting for network")
    ip = find_address(shell, owner.ip, deadline.sub("the host's network", _NETWORK_S))
    host, port = config.ssh_host or ip, config.ssh_port
    host_keys = await_host_keys(
        shell,
        lambda limit: knock(host, port, limit),
        deadline.sub("the host's SSH keys", _SSHD_S),
    )
    limit = deadline.sub("authorizing the job's key", _SSHD_S)
    rules = _rules(shell, config.ssh_username, owner.ip, limit)
    keys_file = _keys_file(rules, config.ssh_username)
    _authorize(shell, owner, keys_file, limit)
    address = Address(
        host=host,
        port=port,
        username=config.ssh_username,
        host_keys=host_keys,
        patience_s=config.host_heartbeat_timeout,
    )
    why_refused = _why_refused(rules, config.ssh_username)
    access = Access(address=address, key=owner.key, keys_file=keys_file, why_refused=why_refused)
    return Opened(ip=ip, access=access)


def _rules(shell: Shell, user: str, server: str, deadline: Deadline) -> Mapping[str, str]:
    """Return the settings of OpenSSH's server for logins by key; empty if it prints none."""
    connection = shlex.quote(f"user={user},host={server},addr={server}")
    command = typed_program("console/ask_sshd.sh", connection, _OPENWRT_KEYS_FILE)
    _, output = shell.run(command, deadline)
    lines = (line.split(maxsplit=1) for line in output.splitlines())
    return {words[0]: words[1] for words in lines if len(words) > 1}


def _keys_file(rules: Mapping[str, str], user: str) -> str:
    """Return the file to add keys to: the usual one if the server reads it, else its first one."""
    files = rules.get("authorizedkeysfile", "none").split()
    if files == ["none"] or {".ssh/authorized_keys", "%h/.ssh/authorized_keys"} & set(files):
        return DEFAULT_KEYS_FILE
    name = files[0].replace("%u", user).replace("%h", "~").replace("%%", "%")
    return name if name.startswith(("/", "~")) else f"~/{name}"


def _why_refused(rules: Mapping[str, str], user: str) -> str:
    """Return the reason why the host will probably refuse the login; "" if none is known.

    The reason may be wrong, as another server may listen.
    """
    root = rules.get("permitrootlogin", "yes")
    if rules.get("pubkeyauthentication") == "no":
        return "its sshd_config has PubkeyAuthentication no"
    if user == "root" and root in ("no", "forced-commands-only"):
        return f"its sshd_config has PermitRootLogin {root}"
    if rules.get("authorizedkeysfile") == "none":
        return "its sshd_config has AuthorizedKeysFile none"
    return ""


def _authorize(shell: Shell, owner: KeyOwner, keys_file: str, deadline: Deadline) -> None:
    file = _quoted(keys_file)
    # The system has just started, so no running job uses a key that is here already.
    shell.run(f"sed -i '/ {_MARK}[^ ]*$/d' {file} 2>/dev/null", deadline)
    # The other keys follow, as a console may not accept so long a line.
    first, *others = map(shlex.quote, owner.key.authorized_lines(f"{_MARK}{owner.job}"))
    folder = _quoted(str(PurePosixPath(keys_file).parent))
    ours = shlex.quote(f" {_MARK}{owner.job.replace('.', '[.]')}$")
    looks = str(round(_UNCLAIMED_S * deadline.scale))
    words = (file, folder, first, ours, shlex.quote(owner.claim), looks)
    status, output = shell.run(typed_program("console/authorize_key.sh", *words), deadline)
    if status != 0:
        said = output.splitlines()
        why = said[-1] if said else f"status {status}"
        raise InfrastructureError(
            f"the job's key cannot be added to {keys_file} on the host: {why}",
            hint="the job needs to write there until it ends; where the disk is read-only, mount "
            "a tmpfs on its folder, or have AuthorizedKeysFile in sshd_config name another place",
            last_lines=said[-20:],
        )
    for line in others:
        shell.check_run(f"echo {line} >>{file}", deadline)


def _quoted(path: str) -> str:
    """Return a path quoted for the shell; ``~/`` at its beginning stays the home."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)
