# SPDX-License-Identifier: MIT
"""Boards that somebody else has deployed and booted, and that show a shell or a login: LAVA, say.

The console is the only way in, as to every board: over it, the job gets an access of its own by
SSH.  The board stays up.
"""

from __future__ import annotations

from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.boards import bootloader, nothing_deployed
from lava_vmgroup.console.login import login_of, reach_shell
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy.tftp import KernelFiles

_INTERRUPT = "\x03"


class Driver(bootloader.Driver):
    """A driver of one board, which is neither reset nor switched off; see `Board`."""

    deploys = False

    def deploy_image(self, image: Path, deadline: Deadline) -> None:  # noqa: ARG002
        """Raise a `JobError`: nothing can be deployed to the host."""
        raise nothing_deployed(self._config)

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:  # noqa: ARG002
        """Raise a `JobError`: nothing can be deployed to the host."""
        raise nothing_deployed(self._config)

    def boot(self, deadline: Deadline) -> Shell:
        """Open the console, log in if the system asks for it, and return the shell."""
        config = self._config
        console = self._connect(deadline)
        self._log.event("state", "taking the host over", state="taking over")
        console.typing_delay_s = config.typing_delay_s("test_shell")
        # The prompt was printed long ago.
        console.send_line("", deadline)
        limit = deadline.sub("the login or shell prompt", config.boot_linaro_timeout)
        reach_shell(console, login_of(config), limit)
        return Shell.prepare(console, limit)

    @property
    def _farewell(self) -> str:
        """Leave the shell, so that the next user of the console finds the system's own.

        A terminal may lose the first character after an interrupt.
        """
        return f"{_INTERRUPT}\nexit\n{super()._farewell}"

    def power_off(self, deadline: Deadline) -> None:
        """Do nothing: the host stays up."""
