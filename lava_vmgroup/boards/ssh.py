# SPDX-License-Identifier: MIT
"""Hosts that are up already and stay up: reached by SSH, without a power switch or a boot loader.

In LAVA v1 they have ``client_type = dummy`` and ``dummy_driver = ssh``.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.boards import BoardSetup, nothing_deployed
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.attached import AttachedStream
from lava_vmgroup.connections.known_hosts import known_keys
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_access import Access, Address
from lava_vmgroup.connections.ssh_keys import KeyFile
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy.tftp import KernelFiles

_NEEDED = {
    "ssh_host": "the name or address of the host",
    "ssh_identity_file": "a private key that the host accepts",
    "ssh_known_hosts": "a file with the host's public keys, made by ssh-keyscan and then checked",
}


class Driver:
    """A driver of one host, which stays as it is; see `lava_vmgroup.boards.Board`."""

    deploys = False
    is_shared = True

    def __init__(self, setup: BoardSetup) -> None:
        """Raise `ConfigurationError` if the host, its public keys or our key are not configured."""
        self._setup = setup
        self._config = setup.config
        self._access = _access(setup.config)
        if setup.watch is not None:
            setup.watch.hears_kernel = False
        self._session = ExitStack()

    def configure(self, config: DeviceConfig) -> None:
        """See `Board.configure`."""
        self._config = config

    def deploy_image(self, image: Path, deadline: Deadline) -> None:  # noqa: ARG002
        """Raise a `JobError`: nothing can be deployed to the host."""
        raise nothing_deployed(self._config)

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:  # noqa: ARG002
        """Raise a `JobError`: nothing can be deployed to the host."""
        raise nothing_deployed(self._config)

    @property
    def access(self) -> Access | None:
        """See `Board.access`."""
        return self._access

    def boot(self, deadline: Deadline) -> Shell:
        """Connect anew, and return a shell; the host is not restarted."""
        self.close()
        config = self._config
        self._setup.log.event("state", "connecting to the host", state="connecting")
        limit = deadline.sub("SSH to the host", config.boot_linaro_timeout)
        link = dial(self._access.address, self._access.key, limit)
        self._session.enter_context(link)
        console = Console(
            AttachedStream(["sh", "-l", "-i"], link, limit),
            self._setup.recorder,
            typing_delay_s=config.typing_delay_s("test_shell"),
            watch=self._setup.watch,
        )
        self._session.enter_context(console)
        # From here on the host's shell writes no history of the typed commands.
        for command in ("unset HISTFILE", *config.login_commands):
            console.send_line(command, limit)
        return Shell.prepare(console, limit)

    def power_off(self, deadline: Deadline) -> None:
        """Do nothing: the host stays up."""

    def close(self) -> None:
        """Close the console and the connection."""
        self._session.close()


def _access(config: DeviceConfig) -> Access:
    for key, meaning in _NEEDED.items():
        if not getattr(config, key):
            raise ConfigurationError(
                f"device {config.hostname} has no {key}", hint=f"set it to {meaning}"
            )
    assert config.ssh_identity_file is not None
    known = known_keys(config.ssh_known_hosts, config.ssh_host, config.ssh_port)
    address = Address(
        host=config.ssh_host,
        port=config.ssh_port,
        username=config.ssh_username,
        host_keys=known.accepted,
        revoked_keys=known.revoked,
        patience_s=config.host_heartbeat_timeout,
    )
    return Access(address=address, key=KeyFile(config.ssh_identity_file))
