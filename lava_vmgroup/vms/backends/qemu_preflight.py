# SPDX-License-Identifier: MIT
"""The checks of a host's facts against the needs of a VM, before any file is sent to the host."""

from __future__ import annotations

from dataclasses import dataclass

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.findings import Finding, Severity, failure
from lava_vmgroup.vms.backends.qemu_accelerator import kvm_choice, tcg_choice
from lava_vmgroup.vms.facts import FIRMWARE, Arch, HostFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class VMNeeds:
    """The needs of one VM, or of several equal ones, that the host has to meet."""

    guest: Arch
    memory_mib: int
    """The memory for the VM together with the VMs that go before it."""
    launches_itself: bool = False
    """True if the job's own commands start the VM, which then needs no QEMU."""
    pins_cpus: bool = False
    """True if the VM runs on chosen CPUs of the host."""
    wants_network: bool = False
    wants_firmware: bool = False
    """True if no kernel is known for the VM, so that firmware has to boot it."""


def look(needs: VMNeeds, facts: HostFacts) -> list[Finding]:
    """Return the findings of all checks that need no start of QEMU."""
    findings = [_sftp(facts), _programs(needs, facts), _lock(facts)]
    if needs.wants_network:
        findings.append(_network(facts))
    if needs.launches_itself:
        return findings
    findings += [_qemu(needs.guest, facts), _memory(needs, facts)]
    if needs.wants_firmware:
        findings.append(_firmware(needs.guest, facts))
    return findings


def disk(needed: int, layers: int, free: int | None, folder: str) -> Finding:
    """Return the finding about the room in `folder`, of which `free` bytes are free.

    The images take `needed` bytes; the guests may write `layers` bytes more.  The finding is
    MISSING if the images do not fit, and DEGRADED if only the layers do not.  If `free` is unknown,
    None, it is OK.
    """
    if free is None:
        return Finding(what="disk", found=f"how much is free below {folder} cannot be told")
    there = f"the host's disk has {free >> 20} MiB free below {folder}"
    wanted = f"the images of VMs need {needed >> 20} MiB"
    if needed > free:
        return Finding(
            what="disk",
            severity=Severity.MISSING,
            found=f"{there}, {wanted}",
            remedy="give the host's image more room, or let vm_folder lead to where more is",
        )
    if needed + layers > free:
        return Finding(
            what="disk",
            severity=Severity.DEGRADED,
            found=f"{there}, {wanted} and, if the guests fill their disks, {layers >> 20} MiB more",
            remedy="give the host's image more room if the guests write much",
        )
    return Finding(what="disk", found=f"{there}, {wanted}")


def firmware_of(guest: Arch, facts: HostFacts) -> str | None:
    """Return the best firmware on the host for an image without a kernel.

    Returns None for an architecture whose QEMU has its own firmware.  Raises `InfrastructureError`
    if the host has none.
    """
    known = FIRMWARE[guest]
    found = next((path for path in known if path in facts.firmware), None)
    if found is None and known:
        raise InfrastructureError(
            "the image has no boot configuration that is understood, and the host has no firmware",
            hint=f"install one of {', '.join(known)} on the host, or use deploy_linaro_kernel",
        )
    return found


def _sftp(facts: HostFacts) -> Finding:
    if facts.sftp:
        return Finding(what="sftp", found="sshd offers SFTP")
    return Finding(
        what="sftp",
        severity=Severity.MISSING,
        found="the host offers no SFTP",
        remedy="install openssh-sftp-server in the host's image",
    )


def _programs(needs: VMNeeds, facts: HostFacts) -> Finding:
    wanted = ["tar", "truncate", *(["taskset"] if needs.pins_cpus else [])]
    missing = [name for name in wanted if name not in facts.tools]
    if not missing:
        return Finding(what="programs", found=f"{', '.join(wanted)} are there")
    return Finding(
        what="programs",
        severity=Severity.MISSING,
        found=f"the host has no {', no '.join(missing)}",
        remedy="install tar, coreutils and util-linux, or a busybox with them, in the host's image",
    )


def _lock(facts: HostFacts) -> Finding:
    if "flock" in facts.tools:
        return Finding(what="flock", found="flock is there")
    return Finding(
        what="flock",
        severity=Severity.DEGRADED,
        found="the host has no flock: dispatchers of sub-jobs may send an image twice",
        remedy="install util-linux in the host's image",
    )


def _network(facts: HostFacts) -> Finding:
    if "ip" in facts.tools:
        return Finding(what="network", found="ip is there")
    return Finding(
        what="network",
        severity=Severity.DEGRADED,
        found="the host has no ip: it has no part in its VMs' network",
        remedy="install iproute2 in the host's image",
    )


def _qemu(guest: Arch, facts: HostFacts) -> Finding:
    what = f"QEMU for {guest.value}"
    try:
        choice = kvm_choice(guest, facts) or tcg_choice(guest, facts)
    except InfrastructureError as error:
        return failure(what, error)
    return Finding(what=what, found=f"{choice.binary} is there")


def _memory(needs: VMNeeds, facts: HostFacts) -> Finding:
    there = f"the host has {facts.memory_mib} MiB of memory"
    wanted = f"the job's VMs together want {needs.memory_mib} MiB"
    if needs.memory_mib > facts.memory_mib:
        return Finding(
            what="memory",
            severity=Severity.MISSING,
            found=f"{there}; {wanted}",
            remedy="lower qemu_memory of the VMs' device types, or start fewer VMs",
        )
    if needs.memory_mib > facts.available_mib:
        return Finding(
            what="memory",
            severity=Severity.DEGRADED,
            found=f"{there}, of which {facts.available_mib} MiB are free; {wanted}",
            remedy="end what else runs on the host, or start fewer VMs",
        )
    return Finding(what="memory", found=f"{there}; {wanted}")


def _firmware(guest: Arch, facts: HostFacts) -> Finding:
    try:
        path = firmware_of(guest, facts)
    except InfrastructureError as error:
        return failure("firmware", error)
    return Finding(what="firmware", found=path or "QEMU brings its own")
