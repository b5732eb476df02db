# SPDX-License-Identifier: MIT
"""The host as its virtual machines see it: how to reach it, what it can do, what it stores.

One `VMHost` is shared by the threads of all VMs that one process runs.  What VMs of other
processes must know too, such as who uses how much memory, is kept on the host.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import replace

from lava_vmgroup.connections.ssh import CommandResult, SshLink, dial
from lava_vmgroup.connections.ssh_keys import Identity
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError
from lava_vmgroup.log import NodeLog
from lava_vmgroup.vms.accelerator import (
    Accelerator,
    Arch,
    HostFacts,
    arch_of,
    kvm_choice,
    tcg_choice,
)
from lava_vmgroup.vms.introduction import Offer
from lava_vmgroup.vms.qemu import machine_option
from lava_vmgroup.vms.store import ImageStore

DIAL_S = 60.0
"""How long a host may take to let us in."""

_PROBE_S = 60.0

FIRMWARE = {
    Arch.AARCH64: (
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
        "/usr/lib/u-boot/qemu_arm64/u-boot.bin",
    ),
    Arch.AARCH32: ("/usr/lib/u-boot/qemu_arm/u-boot.bin",),
    Arch.X86_64: (),
}
"""Firmware that serves an image without a boot configuration, best first.  x86 QEMU has its own."""

_FACTS_SCRIPT = r"""
echo "machine $(uname -m)"
while read -r key value _; do [ "$key" = MemTotal: ] && echo "memory $value"; done </proc/meminfo
[ -c /dev/kvm ] && ( : <>/dev/kvm ) 2>/dev/null && echo kvm
for name in qemu-system-arm qemu-system-aarch64 qemu-system-x86_64; do
    command -v "$name" >/dev/null && echo "qemu $name"
done
for path in "$@"; do [ -e "$path" ] && echo "firmware $path"; done
true
"""

# Each VM's claim is a file beside its folder; the folder of all is the lock.
_RESERVE = r"""
mkdir -p "$0" && cd "$0" || exit 1
vm=$1 mib=$2 total=$3
shift 3
exec 9<.
! command -v flock >/dev/null || flock 9
reserved=0 used=
for file in *.reserved; do
    [ "$file" != "$vm.reserved" ] && [ -e "$file" ] && read -r memory cpus <"$file" || continue
    reserved=$((reserved + memory))
    used="$used $cpus"
done
if [ $((reserved + mib)) -gt "$total" ]; then
    echo "full $reserved"
    exit
fi
best= fewest=
for choice in "$@"; do
    users=0
    for cpus in $used; do
        [ "$cpus" != "$choice" ] || users=$((users + 1))
    done
    if [ -z "$fewest" ] || [ "$users" -lt "$fewest" ]; then best=$choice fewest=$users; fi
done
echo "$mib $best" >"$vm.reserved" && echo "reserved $best"
"""

# QEMU makes the guest's CPU before it obeys the monitor, so its exit status tells whether the
# kernel really offers such a CPU; that /dev/kvm opens does not.  The monitor greets with its
# version.
_PROBE = (
    'echo quit | "$0" -nodefaults -no-user-config -display none -S -m 16 -machine "$1" '
    '-accel "$2" -cpu "$3" -monitor stdio'
)
_VERSION = re.compile(r"QEMU (\S+) monitor")


class VMHost:
    """A booted host with SSH, shared by the VMs that run on it."""

    def __init__(self, offer: Offer, key: Identity, job: str) -> None:
        self.offer = offer
        self._key = key
        self._dialing = threading.Lock()
        self._probing = threading.Lock()
        self._claiming = threading.Lock()
        self._facts: HostFacts | None = None
        self._accelerators: dict[Arch, Accelerator] = {}
        self._claimed: set[str] = set()
        self.job_folder = job_folder(offer.folder, job)
        self.store = ImageStore(offer.folder, job)

    def dial(self, deadline: Deadline) -> SshLink:
        """A new connection to the host; one after the other, as sshd limits dials in parallel."""
        with self._dialing:
            return dial(self.offer.address, self._key, deadline.sub("SSH to the host", DIAL_S))

    def facts(self, link: SshLink, deadline: Deadline) -> HostFacts:
        """What the host is and has; asked once."""
        with self._probing:
            if self._facts is None:
                self._facts = _ask(link, deadline.sub("looking at the host", _PROBE_S))
            return self._facts

    def accelerator(
        self, guest: Arch, machine: str, link: SshLink, log: NodeLog, deadline: Deadline
    ) -> Accelerator:
        """How to run a guest here: KVM where it works, else emulation, which is then said."""
        facts = self.facts(link, deadline)
        with self._probing:
            if guest not in self._accelerators:
                probe = deadline.sub("probing KVM on the host", _PROBE_S)
                self._accelerators[guest] = _choose(guest, machine, facts, link, log, probe)
            return self._accelerators[guest]

    def claims_look(self, device_type: str) -> bool:
        """True for the first VM of a type only: it looks at the host while others upload."""
        with self._claiming:
            first = device_type not in self._claimed
            self._claimed.add(device_type)
            return first

    def reserve(
        self, vm: str, mib: int, cpus: Sequence[str], link: SshLink, deadline: Deadline
    ) -> str | None:
        """Claim memory for a VM, and those of the `cpus` that the fewest others have, if any.

        The claim lasts until the VM's folder is removed.  Raises `InfrastructureError` when the
        group's VMs together want more memory than the host has.
        """
        total = self.facts(link, deadline).memory_mib
        words = ["sh", "-c", _RESERVE, self.job_folder, vm, str(mib), str(total), *cpus]
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


def job_folder(folder: str, job: str) -> str:
    """Where everything of one job's VMs is below the host's folder for VMs, but for the images."""
    return f"{folder}/job-{job}"


def _ask(link: SshLink, deadline: Deadline) -> HostFacts:
    paths = [path for group in FIRMWARE.values() for path in group]
    output = link.check_run(["sh", "-c", _FACTS_SCRIPT, "facts", *paths], deadline)
    machine, memory_mib, kvm = "", 0, False
    programs: set[str] = set()
    firmware: set[str] = set()
    for line in output.splitlines():
        match line.split():
            case ["machine", name]:
                machine = name
            case ["memory", kib]:
                memory_mib = int(kib) // 1024
            case ["kvm"]:
                kvm = True
            case ["qemu", name]:
                programs.add(name)
            case ["firmware", path]:
                firmware.add(path)
    return HostFacts(
        arch=arch_of(machine),
        memory_mib=memory_mib,
        kvm_opens=kvm,
        qemu_programs=frozenset(programs),
        firmware=frozenset(firmware),
    )


def _choose(
    guest: Arch, machine: str, facts: HostFacts, link: SshLink, log: NodeLog, deadline: Deadline
) -> Accelerator:
    reason = "the host has no KVM for it"
    if (choice := kvm_choice(guest, facts)) is not None:
        result = _probe(choice, machine, link, deadline)
        if result.status == 0:
            return replace(choice, version=_version_in(result.output))
        reason = (result.output.strip().splitlines() or ["KVM does not work"])[-1]
    emulated = tcg_choice(guest, facts)
    log.warning("accelerator", f"no KVM for a {guest.value} guest ({reason}): emulating it, slowly")
    output = _probe(emulated, machine, link, deadline).output
    return replace(emulated, version=_version_in(output))


def _probe(choice: Accelerator, machine: str, link: SshLink, deadline: Deadline) -> CommandResult:
    kind = machine_option(machine, choice)
    command = ["sh", "-c", _PROBE, choice.binary, kind, choice.name, choice.cpu]
    return link.run(command, deadline)


def _version_in(output: str) -> str:
    found = _VERSION.search(output)
    return found[1] if found else "unknown"
