# SPDX-License-Identifier: MIT
"""The host from the side of its VMs: its address, its facts, its image store.

The threads of all VMs that one process runs share one `VMHost`.  Facts that the VMs of other
processes need, too, such as the reserved memory, are kept in files on the host.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, VMGroupError
from lava_vmgroup.base.once import Once
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.link import Link
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.vms.facts import HostFacts, ask
from lava_vmgroup.vms.heartbeat import Heartbeat
from lava_vmgroup.vms.introduction import Offer
from lava_vmgroup.vms.store import ImageStore
from lava_vmgroup.vms.supervisor import Supervisor, job_folder

DIAL_S = 60.0
"""Seconds for a host to accept a connection and run a command, on usual hardware."""


class VMHost:
    """A booted host with SSH, shared by the threads of its VMs, each of which has its own link."""

    def __init__(
        self, offer: Offer, key: Identity, job: str, questions: Sequence[str] = ()
    ) -> None:
        """Use the host that made `offer` to the group `job`; log in with `key`.

        `questions` are asked beside the usual ones; see `lava_vmgroup.vms.facts`.
        """
        self.offer = offer
        self._questions = questions
        self._key = key
        self._dialing = threading.Lock()
        self._asking = threading.Lock()
        self._claiming = threading.Lock()
        self._facts: HostFacts | None = None
        self.found: Once[Hashable, Any] = Once()
        """Properties of the host that a backend has found out, by keys of its own."""
        self._claimed: set[str] = set()
        self.job_folder = job_folder(offer.folder, job)
        self.supervisor = Supervisor(self.job_folder)
        self.store = ImageStore(offer.folder, job, offer.store_limit_mib)

    def dial(self, deadline: Deadline) -> Link:
        """Return a new connection to the host; for errors see `lava_vmgroup.connections.ssh.dial`.

        Blocks while another thread connects: sshd limits parallel logins (``MaxStartups``).
        """
        with self._dialing:
            return dial(self.offer.address, self._key, deadline.sub("SSH to the host", DIAL_S))

    def heartbeat(
        self, vm: str, on_loss: Callable[[VMGroupError], None], deadline: Deadline
    ) -> Heartbeat:
        """Start a heartbeat, by which the supervisor removes a VM if this process dies.

        Only for a process that does not run the host's node: that node's heartbeat covers its VMs.
        `on_loss` is called once if the host is lost.
        """
        # A link of its own: on the VM's link, an upload may delay a beat for longer than the host
        # waits.
        link = self.dial(deadline)
        try:
            channel = self.supervisor.listen(link, deadline, vm)
        except BaseException:
            link.close()
            raise
        return Heartbeat(
            channel,
            lambda limit: self.supervisor.listen(link, limit, vm, again=True),
            self.offer.address.patience_s,
            on_loss,
            link,
        )

    def facts(self, link: Link, deadline: Deadline) -> HostFacts:
        """Return the facts about the host; only the first call asks the host.

        Blocks while another thread asks; for errors see `lava_vmgroup.vms.facts.ask`.
        """
        with self._asking:
            if self._facts is None:
                self._facts = ask(self.offer.folder, self._questions, link, deadline)
            return self._facts

    def is_first(self, what: str) -> bool:
        """Return True the first time that this process claims `what`, then False.

        Callers use it to probe or log only once.
        """
        with self._claiming:
            first = what not in self._claimed
            self._claimed.add(what)
            return first

    def reserve(
        self, vm: str, mib: int, cpus: Sequence[str], link: Link, deadline: Deadline
    ) -> str | None:
        """Reserve `mib` MiB of memory and CPUs for a VM, and return the CPUs.

        Each of `cpus` is a choice of CPUs in taskset's notation.  Returns the one that the fewest
        other VMs have, or None if there is no choice.  The reservation lasts until the VM's folder
        is removed.  Raises `InfrastructureError` if the group's VMs together want more memory than
        the host has.
        """
        total = self.facts(link, deadline).memory_mib
        words = sh_command("vms/reserve.sh", self.job_folder, vm, str(mib), str(total), *cpus)
        match link.check_run(words, deadline).split():
            case ["full", reserved]:
                raise InfrastructureError(
                    f"the host has {total} MiB of memory; {reserved} MiB "
                    f"are promised to VMs already and this one wants {mib} MiB",
                    hint="lower qemu_memory of the VM's device type, or start fewer VMs",
                )
            case ["reserved", chosen]:
                return chosen
            case _:
                return None
