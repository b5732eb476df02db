# SPDX-License-Identifier: MIT
"""A supervisor on a host, as a host's node starts it before the VMs come."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.vms.supervisor import Supervisor, job_folder
from tests.support.sshd import Server

PATIENCE_S = 600


@contextmanager
def supervised(sshd: Server, folder: Path, job: str) -> Iterator[Supervisor]:
    """Gives the supervisor of a job below `folder`, which is gone at the end with what it has."""
    made = Supervisor(job_folder(str(folder), job))
    deadline = Deadline.after("the test's supervisor", 600.0)
    with dial(sshd.address, sshd.key, deadline) as link:
        made.start(link, deadline, patience_s=PATIENCE_S)
        yield made
        made.end(link, deadline)
