# SPDX-License-Identifier: MIT
"""The host as its virtual machines see it: how to reach it, what it can do, what it stores.

One `VMHost` is shared by the threads of all VMs that one process runs.  What VMs of other
processes must know too, such as who uses how much memory, is kept on the host.
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
from lava_vmgroup.connections.ssh import CommandResult, SshLink, dial
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
"""How long a host may take to let us in."""

_PROBE_S = 60.0

# QEMU makes the guest's CPU before it obeys the monitor, so its exit status tells whether the
# kernel really offers such a CPU; that /dev/kvm opens does not.  The monitor greets with its
# version.
_PROBE = (
    'echo quit | "$0" -nodefaults -no-user-config -display none -S -machine "$1" '
    '-accel "$2" -cpu "$3" -m "$4" -smp "$5" -monitor stdio'
)
_VERSION = re.compile(r"QEMU (\S+) monitor")


class VMHost:
    """A booted host with SSH, shared by the VMs that run on it."""

    def __init__(
        self, offer: Offer, key: Identity, job: str, questions: Sequence[str] = ()
    ) -> None:
        """`questions` are what the host is asked beside the usual; see `lava_vmgroup.vms.facts`."""
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

    def dial(self, deadline: Deadline) -> SshLink:
        """A new connection to the host; one after the other, as sshd limits dials in parallel."""
        with self._dialing:
            return dial(self.offer.address, self._key, deadline.sub("SSH to the host", DIAL_S))

    def heartbeat(
        self, vm: str, on_loss: Callable[[VMGroupError], None], deadline: Deadline
    ) -> Heartbeat:
        """Have the host's supervisor remove a VM if this process, which runs no host, dies."""
        # A link of its own: what is uploaded may hold a beat up for longer than the host waits.
        link = self.dial(deadline)
        channel = self.supervisor.listen(link, deadline, vm)
        return Heartbeat(
            channel,
            lambda limit: self.supervisor.listen(link, limit, vm, again=True),
            self.offer.address.patience_s,
            on_loss,
            link,
        )

    def facts(self, link: SshLink, deadline: Deadline) -> HostFacts:
        """What the host is and has; asked once."""
        with self._asking:
            if self._facts is None:
                self._facts = ask(self.offer.folder, self._questions, link, deadline)
            return self._facts

    def accelerator(
        self, guest: Guest, link: SshLink, log: NodeLog, deadline: Deadline
    ) -> Accelerator:
        """How to run a guest here: KVM where it works, else emulation, which is then said.

        Raises `Unfit` when QEMU can do neither, or not what the job wants.
        """
        facts = self.facts(link, deadline)
        with self._probing:
            if guest not in self._accelerators:
                probe = deadline.sub("probing KVM on the host", _PROBE_S)
                self._accelerators[guest] = _choose(guest, facts, link, log, probe)
            return self._accelerators[guest]

    def is_first(self, what: str) -> bool:
        """True for the first only who comes with this: it does or says what once is enough."""
        with self._claiming:
            first = what not in self._claimed
            self._claimed.add(what)
            return first

    def reserve(
        self, vm: str, mib: int, cpus: Sequence[str], link: SshLink, deadline: Deadline
    ) -> str | None:
        """Claim memory for a VM, and those of the `cpus` that the fewest others have, if any.

        The claim lasts until the VM's folder is removed.  Raises `InfrastructureError` when the
        group's VMs together want more memory than the host has.
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
    guest: Guest, facts: HostFacts, link: SshLink, log: NodeLog, deadline: Deadline
) -> Accelerator:
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
    guest: Guest, facts: HostFacts, reason: str, link: SshLink, deadline: Deadline
) -> Accelerator:
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


def _probe(choice: Accelerator, guest: Guest, link: SshLink, deadline: Deadline) -> CommandResult:
    kind = machine_option(guest.machine, choice)
    size = [str(guest.memory_mib), str(guest.cpus)]
    command = ["sh", "-c", _PROBE, choice.binary, kind, choice.name, choice.cpu, *size]
    return link.run(command, deadline)


def _last_words(result: CommandResult, default: str) -> str:
    lines = result.output.strip().splitlines()
    # QEMU's own begin with its name; advice may follow.
    return [default, *lines, *(line for line in lines if line.startswith("qemu-system"))][-1]


def _version_in(output: str) -> str:
    found = _VERSION.search(output)
    return found[1] if found else "unknown"
