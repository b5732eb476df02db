# SPDX-License-Identifier: MIT
"""Opening a booted system to SSH from its console, where nobody can come between.

The system's own keys are read there and the job's key is authorized there, so neither side has
to trust the network.  A watch that runs in the system takes the key away again when nothing comes
of it, as when the dispatcher is killed in that moment.
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
"""Longer than connecting and starting the supervisor may take."""
_MARK = "lava-vmgroup-"

_OPENWRT_KEYS_FILE = "/etc/dropbear/authorized_keys"


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
    if not read_host_keys(shell, deadline.sub("the host's SSH keys", _SSHD_S)):
        check_server(shell, deadline)
    log.event("state", "looking for the host's address", state="waiting for network")
    ip = find_address(shell, server_ip, deadline.sub("the host's network", _NETWORK_S))
    host, port = config.ssh_host or ip, config.ssh_port
    host_keys = await_host_keys(
        shell,
        lambda limit: knock(host, port, limit),
        deadline.sub("the host's SSH keys", _SSHD_S),
    )
    limit = deadline.sub("authorizing the job's key", _SSHD_S)
    rules = _rules(shell, config.ssh_username, server_ip, limit)
    keys_file = _keys_file(rules, config.ssh_username)
    _authorize(shell, key, job, claim, keys_file, limit)
    address = Address(
        host=host,
        port=port,
        username=config.ssh_username,
        host_keys=host_keys,
        patience_s=config.host_heartbeat_timeout,
    )
    why_refused = _why_refused(rules, config.ssh_username)
    access = Access(address=address, key=key, keys_file=keys_file, why_refused=why_refused)
    return Opened(ip=ip, access=access)


def _rules(shell: Shell, user: str, server: str, deadline: Deadline) -> Mapping[str, str]:
    """Return the settings of OpenSSH's server for logins by key; empty if it prints none."""
    connection = shlex.quote(f"user={user},host={server},addr={server}")
    command = typed_program("console/ask_sshd.sh", connection, _OPENWRT_KEYS_FILE)
    _, output = shell.run(command, deadline)
    lines = (line.split(maxsplit=1) for line in output.splitlines())
    return {words[0]: words[1] for words in lines if len(words) > 1}


def _keys_file(rules: Mapping[str, str], user: str) -> str:
    """The file of authorized keys, of those that the server reads the usual one if it is there."""
    files = rules.get("authorizedkeysfile", "none").split()
    if files == ["none"] or {".ssh/authorized_keys", "%h/.ssh/authorized_keys"} & set(files):
        return DEFAULT_KEYS_FILE
    name = files[0].replace("%u", user).replace("%h", "~").replace("%%", "%")
    return name if name.startswith(("/", "~")) else f"~/{name}"


def _why_refused(rules: Mapping[str, str], user: str) -> str:
    """Why the host will refuse the login, as far as it can be told: another server may listen."""
    root = rules.get("permitrootlogin", "yes")
    if rules.get("pubkeyauthentication") == "no":
        return "its sshd_config has PubkeyAuthentication no"
    if user == "root" and root in ("no", "forced-commands-only"):
        return f"its sshd_config has PermitRootLogin {root}"
    if rules.get("authorizedkeysfile") == "none":
        return "its sshd_config has AuthorizedKeysFile none"
    return ""


def _authorize(
    shell: Shell, key: JobKey, job: str, claim: str, keys_file: str, deadline: Deadline
) -> None:
    file = _quoted(keys_file)
    # The system has just started, so what earlier jobs have left is nobody's.
    shell.run(f"sed -i '/ {_MARK}[^ ]*$/d' {file} 2>/dev/null", deadline)
    # The others follow, as a console may not take so much at once.
    first, *others = map(shlex.quote, key.authorized_lines(f"{_MARK}{job}"))
    folder = _quoted(str(PurePosixPath(keys_file).parent))
    ours = shlex.quote(f" {_MARK}{job.replace('.', '[.]')}$")
    looks = str(round(_UNCLAIMED_S * deadline.scale))
    words = (file, folder, first, ours, shlex.quote(claim), looks)
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
    """A path for the shell, where ``~`` at its beginning is the home."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)
