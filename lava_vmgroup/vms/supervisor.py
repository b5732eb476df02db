# SPDX-License-Identifier: MIT
"""What a job leaves on its host, and the supervisor there that removes it, whatever becomes of us.

The supervisor is a shell program on the host that outlives every connection.  It acts when it is
told to, or when it has not heard a dispatcher's heartbeat for too long.
"""

from __future__ import annotations

from collections.abc import Sequence

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError
from lava_vmgroup.base.shell_programs import program_text, sh_command
from lava_vmgroup.connections.ssh import CommandResult, SshLink
from lava_vmgroup.connections.ssh_access import DEFAULT_KEYS_FILE
from lava_vmgroup.connections.ssh_channels import LineChannel
from lava_vmgroup.vms.spool import Spool

_START_S = 60.0

# Where the program is gone the job has ended, and nothing is left of it.
_DO = '[ ! -e "$0" ] || exec sh "$0" "$@"'


class Supervisor:
    """The supervisor of a job, in the job's folder on the host."""

    def __init__(self, job_folder: str) -> None:
        self.folder = job_folder
        self._program = f"{job_folder}/.supervisor/program"

    def mark(self, vm: str) -> str:
        """What stands in the environment of programs that end with this VM, and with the job."""
        return f"LAVA_VM_MARK={self.folder}/{vm}/"

    @property
    def ledger(self) -> str:
        """The file on the host to which ``folder PATH`` is added for a folder to be removed."""
        return f"{self.folder}/.supervisor/ledger"

    @property
    def records(self) -> Spool:
        """The file on the host to which the host's tests write records."""
        folder = f"{self.folder}/.supervisor"
        return Spool(folder=folder, file="records", mark=self.mark(".supervisor"))

    @property
    def owner(self) -> str:
        """The file on the host that is there once the supervisor runs."""
        return f"{self.folder}/.supervisor/owner"

    def start(
        self,
        link: SshLink,
        deadline: Deadline,
        *,
        patience_s: int,
        bridge: str = "",
        keys_file: str = DEFAULT_KEYS_FILE,
    ) -> Sequence[str]:
        """Make the job's folder with a living supervisor that removes it and the `bridge`.

        It removes the job's keys from `keys_file`, too.

        It gives the job up after `patience_s` seconds without a heartbeat.  Returns what was done
        about earlier jobs that nobody has cleaned up.
        """
        arguments = (self.folder, self.folder, str(patience_s), bridge, keys_file)
        words = sh_command("vms/start_supervisor.sh", *arguments)
        program = program_text("vms/supervisor.sh").encode()
        limit = deadline.sub("the host's supervisor to start", _START_S)
        return _said("starting the supervisor", link.run(words, limit, stdin=program))

    def listen(
        self, link: SshLink, deadline: Deadline, vm: str | None = None, *, again: bool = False
    ) -> LineChannel:
        """Open the way for the heartbeats of the job, or of a `vm` of its own dispatcher.

        `again` goes on with those that were heard before.
        """
        name = "beat" if vm is None else f"vms/{vm}"
        words = ["env", self.mark(".supervisor"), "sh", self._program, "beat", self.folder, name]
        return link.open_lines([*words, "1"] if again else words, deadline)

    def sees_same_boot(self, link: SshLink, deadline: Deadline) -> bool:
        """Return whether the host answers, and has not been restarted since `start`."""
        try:
            return link.run(sh_command("vms/check_boot.sh", self.owner), deadline).status == 0
        except (DeadlineExpired, InfrastructureError):
            return False

    def remove_vm(self, vm_folder: str, link: SshLink, deadline: Deadline) -> None:
        """End the programs of a VM, by force where they do not listen; remove its folder."""
        words = ["sh", "-c", _DO, self._program, "remove", vm_folder]
        _said("ending the VM", link.run_again(words, deadline))

    def end(self, link: SshLink, deadline: Deadline) -> None:
        """Have everything of the job ended and removed, with the supervisor."""
        words = ["sh", "-c", _DO, self._program, "end", self.folder]
        _said("cleaning up", link.run_again(words, deadline))


def job_folder(folder: str, job: str) -> str:
    """Where everything of one job's VMs is below the host's folder for VMs, but for the images."""
    return f"{folder}/job-{job}"


def _said(doing: str, result: CommandResult) -> list[str]:
    said = result.output.strip().splitlines()
    if result.status != 0:
        reason = said[-1] if said else f"status {result.status}"
        raise InfrastructureError(f"{doing} failed on the host: {reason}", last_lines=said[-20:])
    return said
