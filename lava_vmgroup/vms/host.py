# SPDX-License-Identifier: MIT
"""The host from the side of its VMs: its address, its facts, its accelerators, its image store.

The threads of all VMs that one process runs share one `VMHost`.  Facts that the VMs of other
processes need, too, such as the reserved memory, are kept in files on the host.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, Unfit, VMGroupError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.link import CommandResult, Link
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.job.model import WantedAccelerator
from lava_vmgroup.vms.accelerator import Accelerator, Guest, HostFacts, kvm_choice, tcg_choice
from lava_vmgroup.vms.facts import ask
from lava_vmgroup.vms.heartbeat import Heartbeat
from lava_vmgroup.vms.introduction import Offer
from lava_vmgroup.vms.preflight import kvm_remedy, why_no_kvm
from lava_vmgroup.vms.qemu import machine_option
from lava_vmgroup.vms.store import ImageStore
from lava_vmgroup.vms.supervisor import Supervisor, job_folder

DIAL_S = 60.0
"""Seconds for a host to accept a connection and run a command, on usual hardware."""

_PROBE_S = 60.0

# QEMU makes the guest's CPU before it reads the command for its monitor.  So its exit status is 0
# only if the kernel really offers this CPU; a /dev/kvm that opens does not prove that.  QEMU's
# version is in the greeting of the monitor.
_PROBE = (
    'echo quit | "$0" -nodefaults -no-user-config -display none -S -machine "$1" '
    '-accel "$2" -cpu "$3" -m "$4" -smp "$5" -monitor stdio'
)
_VERSION = re.compile(r"QEMU (\S+) monitor")


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
        self._probing = threading.Lock()
        self._claiming = threading.Lock()
        self._facts: HostFacts | None = None
        self._accelerators: dict[Guest, Accelerator] = {}
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
        channel = self.supervisor.listen(link, deadline, vm)
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

    def accelerator(
        self, guest: Guest, link: Link, log: NodeLog, deadline: Deadline
    ) -> Accelerator:
        """Return the way to run a guest here: with KVM if that works, otherwise by emulation.

        Starts QEMU to find out, once for each kind of guest, and blocks meanwhile.  If a guest is
        emulated only because KVM does not work, logs a warning.  Raises `Unfit` if QEMU cannot run
        the guest with an accelerator that the job allows.
        """
        facts = self.facts(link, deadline)
        with self._probing:
            if guest not in self._accelerators:
                probe = deadline.sub("probing KVM on the host", _PROBE_S)
                self._accelerators[guest] = _choose(guest, facts, link, log, probe)
            return self._accelerators[guest]

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


def _choose(
    guest: Guest, facts: HostFacts, link: Link, log: NodeLog, deadline: Deadline
) -> Accelerator:
    """Probe KVM if the job allows it, then emulation; see `VMHost.accelerator`."""
    if guest.wanted is WantedAccelerator.TCG:
        return _emulated(guest, facts, "the job wants it emulated", link, deadline)
    reason = why_no_kvm(facts)
    if (choice := kvm_choice(guest.arch, facts)) is not None:
        choice = guest.over(choice)
        result = _probe(choice, guest, link, deadline)
        works = result.status == 0
        if works and not (guest.may_fall_back and guest.wanted is WantedAccelerator.KVM):
            version = _version_in(result.output)
            return replace(choice, version=version, may_fall_back=guest.may_fall_back)
        reason = _last_words(result, "KVM does not work")
        if works:
            reason = "qemu_options of its device type name another accelerator, too"
    missing = f"no KVM for a {guest.arch.value} guest ({reason})"
    if guest.wanted is WantedAccelerator.KVM:
        raise Unfit(
            f"{missing}, and the job never emulates it (accelerator: kvm)",
            hint=kvm_remedy(facts) or "use another host, or let the VM be emulated",
        )
    log.warning("accelerator", f"{missing}: emulating it, slowly")
    return _emulated(guest, facts, reason, link, deadline)


def _emulated(
    guest: Guest, facts: HostFacts, reason: str, link: Link, deadline: Deadline
) -> Accelerator:
    """Return emulation for a guest that has no KVM for this `reason`; raise `Unfit` if it fails."""
    emulated = guest.over(tcg_choice(guest.arch, facts))
    result = _probe(emulated, guest, link, deadline)
    if result.status != 0 and not guest.has_options:
        raise Unfit(
            f"{emulated.binary} on the host cannot make the machine {guest.machine!r}: "
            f"{_last_words(result, 'it does not say why')}",
            hint="correct qemu_machine, qemu_cpu, qemu_memory or qemu_smp of the VM's device type, "
            "or install another QEMU on the host",
        )
    return replace(emulated, version=_version_in(result.output), why_not_kvm=reason)


def _probe(choice: Accelerator, guest: Guest, link: Link, deadline: Deadline) -> CommandResult:
    """Start QEMU without a guest, and return its result; see `_PROBE`."""
    kind = machine_option(guest.machine, choice)
    size = [str(guest.memory_mib), str(guest.cpus)]
    command = ["sh", "-c", _PROBE, choice.binary, kind, choice.name, choice.cpu, *size]
    return link.run(command, deadline)


def _last_words(result: CommandResult, default: str) -> str:
    lines = result.output.strip().splitlines()
    # QEMU's own messages begin with its name, and lines of advice may follow them.
    return [default, *lines, *(line for line in lines if line.startswith("qemu-system"))][-1]


def _version_in(output: str) -> str:
    found = _VERSION.search(output)
    return found[1] if found else "unknown"
