# SPDX-License-Identifier: MIT
"""The supervisor of a job on its host, which ends the job's programs and removes its files there.

The supervisor is a shell program, ``supervisor.sh``, that outlives every connection.  The rules:

- Each job has one supervisor, which runs before any of its VMs.
- It ends the job if the host's dispatcher tells it to, or if that dispatcher's heartbeat stops.  It
  removes a VM of another dispatcher if the heartbeat for this VM stops.
- It finds the programs of a job or of a VM by a variable in their environment, `Supervisor.mark`.
- It then runs the commands in the VM's `Supervisor.undo_file`, for what is no process or file.
- If a supervisor itself dies, the next job on the host takes care of its job.
"""

from __future__ import annotations

from collections.abc import Sequence

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, InfrastructureError
from lava_vmgroup.base.shell_programs import program_text, sh_command
from lava_vmgroup.connections.link import CommandResult, LineChannel, Link
from lava_vmgroup.connections.ssh_access import DEFAULT_KEYS_FILE
from lava_vmgroup.vms.spool import Spool

_START_S = 60.0

# If the program is gone, the job has ended, and nothing of it is left: that counts as success.
_DO = '[ ! -e "$0" ] || exec sh "$0" "$@"'


class Supervisor:
    """The supervisor of a job, in the job's folder on the host."""

    def __init__(self, job_folder: str) -> None:
        self.folder = job_folder
        self._program = f"{job_folder}/.supervisor/program"

    def mark(self, vm: str) -> str:
        """Return the variable that marks a program, which then ends with this VM or the job."""
        return f"LAVA_VM_MARK={self.folder}/{vm}/"

    @property
    def ledger(self) -> str:
        """The file on the host that lists things to remove, such as ``folder PATH``, one a line."""
        return f"{self.folder}/.supervisor/ledger"

    def undo_file(self, vm: str) -> str:
        """Return the file on the host that lists commands which undo what a VM has made."""
        return f"{self.folder}/.supervisor/undo/{vm}"

    @property
    def records(self) -> Spool:
        """The spool with the file on the host to which the host's tests write records."""
        folder = f"{self.folder}/.supervisor"
        return Spool(folder=folder, file="records", mark=self.mark(".supervisor"))

    @property
    def owner(self) -> str:
        """The file on the host that identifies the supervisor, from its start on."""
        return f"{self.folder}/.supervisor/owner"

    def start(
        self,
        link: Link,
        deadline: Deadline,
        *,
        patience_s: int,
        bridge: str = "",
        keys_file: str = DEFAULT_KEYS_FILE,
    ) -> Sequence[str]:
        """Make the job's folder, and start a supervisor that removes it.

        The supervisor also removes the `bridge` and the job's keys in `keys_file`.  It gives the
        job up after about `patience_s` seconds without a heartbeat.  Blocks until the supervisor
        runs.  Returns a line for each dead job that was found and taken care of.  Raises
        `InfrastructureError` if the start fails.
        """
        arguments = (self.folder, self.folder, str(patience_s), bridge, keys_file)
        words = sh_command("vms/start_supervisor.sh", *arguments)
        program = program_text("vms/supervisor.sh").encode()
        limit = deadline.sub("the host's supervisor to start", _START_S)
        return _said("starting the supervisor", link.run(words, limit, stdin=program))

    def listen(
        self, link: Link, deadline: Deadline, vm: str | None = None, *, again: bool = False
    ) -> LineChannel:
        """Open a channel for heartbeats of the host's dispatcher, or of the dispatcher of `vm`.

        With `again`, the channel replaces one that broke off: it answers ``ended`` if the
        supervisor has given the job or the VM up meanwhile.
        """
        name = "beat" if vm is None else f"vms/{vm}"
        words = ["env", self.mark(".supervisor"), "sh", self._program, "beat", self.folder, name]
        return link.open_lines([*words, "1"] if again else words, deadline)

    def sees_same_boot(self, link: Link, deadline: Deadline) -> bool:
        """Return whether the host answers in time, and has not been restarted since `start`."""
        try:
            return link.run(sh_command("vms/check_boot.sh", self.owner), deadline).status == 0
        except (DeadlineExpired, InfrastructureError):
            return False

    def remove_vm(self, vm_folder: str, link: Link, deadline: Deadline) -> None:
        """End the programs of a VM, and remove its folder; kill programs that ignore SIGTERM.

        Raises `InfrastructureError` if something remains.
        """
        words = ["sh", "-c", _DO, self._program, "remove", vm_folder]
        _said("ending the VM", link.run_again(words, deadline))

    def end(self, link: Link, deadline: Deadline) -> None:
        """End and remove everything of the job, including the supervisor.

        Blocks until that is done.  Raises `InfrastructureError` if something remains.
        """
        words = ["sh", "-c", _DO, self._program, "end", self.folder]
        _said("cleaning up", link.run_again(words, deadline))


def job_folder(folder: str, job: str) -> str:
    """Return the folder of a job, below the host's `folder` for VMs; images are not in it."""
    return f"{folder}/job-{job}"


def _said(doing: str, result: CommandResult) -> list[str]:
    """Return a command's output as lines; raise `InfrastructureError` if the command failed."""
    said = result.output.strip().splitlines()
    if result.status != 0:
        reason = said[-1] if said else f"status {result.status}"
        raise InfrastructureError(f"{doing} failed on the host: {reason}", last_lines=said[-20:])
    return said
