# SPDX-License-Identifier: MIT
"""A node whose system is a shell on this machine, for actions that need nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lava_vmgroup import actions
from lava_vmgroup.cancel import CancelToken
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.connections.process import ProcessStream
from lava_vmgroup.connections.ssh import JobKey
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.login import Login, reach_shell
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.expand import expand
from lava_vmgroup.job.parse import parse_job
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.nodes.shared import ClosedVMs, Shared
from lava_vmgroup.vms.images import ImageLibrary

# A terminal that can send signals, as a board's has and a plain pseudo-terminal has not.
_TERMINAL = "setsid --ctty --wait sh -c 'stty sane; PS1=\"root@board:~# \" exec {shell} -i'"


class ShellNode(Node):
    """A node that is a shell, started when it boots."""

    program = "bash --norc --noprofile"
    _console: Console | None = None

    def boot(self, deadline: Deadline) -> None:
        """Start the shell."""
        stream = ProcessStream(_TERMINAL.format(shell=self.program))
        self._console = Console(stream, self.console_log).__enter__()
        reach_shell(self._console, Login(test_image_prompts=["root@board:~# "]), deadline)
        self._shell = Shell.prepare(self._console, deadline)

    def close(self) -> None:
        """End the shell."""
        if self._console is not None:
            self._console.close()

    def deploy_image(self, image: Path, deadline: Deadline) -> None:
        """Nothing to deploy."""

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """Nothing to deploy."""

    def unpack(self, archive: bytes, directory: str, deadline: Deadline) -> None:
        """Nothing to unpack."""

    def finish(self, deadline: Deadline) -> None:
        """Nothing to finish."""

    def test_shell_ended(self, deadline: Deadline) -> None:
        """Nothing follows."""

    def message_sent(self, message_id: str) -> None:
        """Nobody cares."""


@contextmanager
def shell_node(folder: Path, program: str) -> Iterator[ShellNode]:
    """A node whose shell is `program`; it has not booted yet, and its files are in `folder`."""
    document = {
        "timeout": 60,
        "vm_group": {
            "host": {"device_type": "board"},
            "vms": [{"device_type": "kvm-arm", "role": "guest", "image": "vm.img"}],
        },
        "actions": [{"command": "boot_linaro_image"}],
    }
    job = parse_job(document, folder, actions.parameter_schemas())
    group = expand(job, job_id="1", target_group="group")
    shared = Shared(
        group=group,
        device=DeviceConfig(hostname="board01", client_type="bootloader"),
        dispatcher=DispatcherConfig(),
        search_path=(),
        coordinator=("localhost", 0),
        output=folder / "out",
        work=folder / "work",
        key=JobKey(),
        images=ImageLibrary(folder / "images"),
        closed_vms=ClosedVMs(1),
    )
    node = ShellNode(group.nodes[0], "board01", shared, CancelToken())
    node.program = program
    try:
        yield node
    finally:
        node.close()
