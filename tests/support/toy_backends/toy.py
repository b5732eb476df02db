# SPDX-License-Identifier: MIT
"""A kind of VM that needs no hypervisor: the "guest" is a shell on a terminal of the host.

A lease, a folder beside the job's, stands for things that are no process, such as a Xen domain.
"""

from collections.abc import Sequence
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError, Unfit
from lava_vmgroup.base.findings import Finding
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.config.settings import BootSettings
from lava_vmgroup.connections.stream import ByteStream
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.vms.backends import Backend
from lava_vmgroup.vms.folder import CONSOLE, VMFolder
from lava_vmgroup.vms.load import Deployed, Load
from lava_vmgroup.vms.reached import ReachedHost
from lava_vmgroup.vms.stored_file import stored

GUEST = """
import os, pty, sys
for number, name, how in ((0, "in", os.O_RDWR), (1, "out", os.O_WRONLY | os.O_APPEND)):
    os.dup2(os.open(f"{sys.argv[1]}.{name}", how), number)
os.environ["PS1"] = "toy> "
pty.spawn(["sh", "-i"])
"""
"""A shell on a terminal, whose two ends are the files of a VM's console."""


class Driver(Backend):
    """A shell that stands for a VM."""

    wants_network = False
    memory_mib = None

    def prepare_image(self, image: Path, pflash: Sequence[Path], deadline: Deadline) -> Load:
        """See `Backend.prepare_image`."""
        return Load(disk=stored(image, deadline), disk_size=image.stat().st_size)

    def prepare_kernel(self, files: KernelFiles, deadline: Deadline) -> Load:
        """See `Backend.prepare_kernel`."""
        raise JobError("a shell boots no kernel")

    def fit(self, load: Load, at: ReachedHost, deadline: Deadline) -> None:
        """See `Backend.fit`."""
        if "taskset" not in at.facts(deadline).tools:
            raise Unfit("the host has no taskset", hint="install util-linux there")

    def choose(self, deployed: Deployed, settings: BootSettings) -> Deployed:
        """See `Backend.choose`."""
        return deployed

    def launch(
        self, folder: VMFolder, deployed: Deployed, at: ReachedHost, deadline: Deadline
    ) -> ByteStream:
        """See `Backend.launch`."""
        folder.make({}, deadline)
        lease = f"{at.host.offer.folder}/lease of {self.setup.name}"
        folder.will_undo(["rm", "-rf", lease], deadline)
        at.link.check_run(["mkdir", lease], deadline)
        self.log.event("state", "booting a shell", state="booting")
        return folder.start(["python3", "-c", GUEST, CONSOLE], deadline)

    @staticmethod
    def examine(
        job: NodeJob, vms: Sequence[NodeJob], lab: Lab, at: ReachedHost, deadline: Deadline
    ) -> list[Finding]:
        """See `Backend.examine`."""
        return []

    def explained(
        self, error: InfrastructureError, folder: VMFolder, deadline: Deadline
    ) -> InfrastructureError:
        """See `Backend.explained`."""
        said = folder.complaints(deadline)
        return InfrastructureError(f"the shell ended: {said[-1]}") if said else error
