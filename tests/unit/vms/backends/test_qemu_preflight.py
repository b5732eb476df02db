# SPDX-License-Identifier: MIT
"""Decisions about a host by the facts that it tells."""

from dataclasses import replace

import pytest

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.findings import Severity, refuse
from lava_vmgroup.vms.backends.qemu_preflight import VMNeeds, disk, firmware_of, look
from lava_vmgroup.vms.facts import FIRMWARE, TOOLS, Arch, HostFacts
from lava_vmgroup.vms.kvm import kvm_remedy, why_no_kvm

BOARD = HostFacts(
    machine="aarch64",
    memory_mib=2000,
    available_mib=1800,
    kvm_opens=True,
    kvm_exists=True,
    qemu_programs=frozenset({"qemu-system-aarch64"}),
    firmware=frozenset(),
    tools=frozenset(TOOLS),
)
EL1 = "CPU: All CPU(s) started at EL1"
NEEDS = VMNeeds(guest=Arch.AARCH64, memory_mib=1024, pins_cpus=True, wants_network=True)


@pytest.mark.parametrize(
    ("facts", "needs", "what", "severity", "words"),
    [
        ({"qemu_programs": frozenset()}, {}, "QEMU for aarch64", "missing", "no qemu-system-a"),
        ({}, {"guest": Arch.X86_64}, "QEMU for x86_64", "missing", "no qemu-system-x86_64"),
        ({}, {"memory_mib": 2001}, "memory", "missing", "2000 MiB of memory; .* 2001 MiB"),
        ({}, {"memory_mib": 1900}, "memory", "degraded", "1800 MiB are free"),
        ({"sftp": False}, {}, "sftp", "missing", "no SFTP"),
        ({"tools": frozenset({"ip", "flock"})}, {}, "programs", "missing", "tar, no trunc.* task"),
        ({"tools": TOOLS[1:]}, {}, "flock", "degraded", "may send an image twice"),
        ({"tools": {*TOOLS} - {"ip"}}, {}, "network", "degraded", "no part in its VMs' network"),
        ({}, {"wants_firmware": True}, "firmware", "missing", "no firmware"),
    ],
)
def test_what_a_host_lacks_is_found(
    facts: dict[str, object], needs: dict[str, object], what: str, severity: str, words: str
) -> None:
    findings = look(replace(NEEDS, **needs), replace(BOARD, **facts))  # type: ignore[arg-type]

    (found,) = [one for one in findings if one.severity is not Severity.OK]
    assert (found.what, found.severity.value, bool(found.remedy)) == (what, severity, True)
    with pytest.raises(InfrastructureError, match=words) as caught:
        refuse([replace(found, severity=Severity.MISSING)])
    assert caught.value.hint == found.remedy


def test_host_that_has_all_is_not_refused() -> None:
    findings = look(NEEDS, BOARD)

    refuse(findings)
    assert {one.severity for one in findings} == {Severity.OK}
    assert [one.what for one in findings] == [
        "sftp",
        "programs",
        "flock",
        "network",
        "QEMU for aarch64",
        "memory",
    ]


def test_vm_that_the_job_launches_needs_no_qemu_and_no_memory() -> None:
    bare = replace(BOARD, qemu_programs=frozenset(), memory_mib=0)

    findings = look(replace(NEEDS, launches_itself=True), bare)

    refuse(findings)
    assert [one.what for one in findings] == ["sftp", "programs", "flock", "network"]


def test_what_does_not_matter_to_a_vm_is_not_looked_at() -> None:
    needs = replace(NEEDS, pins_cpus=False, wants_network=False)

    findings = look(needs, replace(BOARD, tools=frozenset({"tar", "truncate", "flock"})))

    assert {one.severity for one in findings} == {Severity.OK}


@pytest.mark.parametrize(
    ("needed", "layers", "free", "severity"),
    [
        (10, 5, 15, Severity.OK),
        (10, 6, 15, Severity.DEGRADED),
        (16, 0, 15, Severity.MISSING),
        (16, 0, None, Severity.OK),
    ],
)
def test_images_have_to_fit_and_full_guests_are_warned_of(
    needed: int, layers: int, free: int | None, severity: Severity
) -> None:
    assert disk(needed, layers, free, "/vms").severity is severity


@pytest.mark.parametrize(
    ("change", "reason", "remedy"),
    [
        ({"kvm_exists": False, "kernel_log": (EL1,)}, "started at EL1", "EL2"),
        ({"kvm_exists": False}, "/dev/kvm is missing", "a kernel with KVM"),
        ({}, "does not open", "group kvm"),
    ],
)
def test_reason_against_kvm_comes_with_what_may_help(
    change: dict[str, object], reason: str, remedy: str
) -> None:
    facts = replace(BOARD, kvm_opens=False, **change)  # type: ignore[arg-type]

    assert reason in why_no_kvm(facts)
    assert remedy in str(kvm_remedy(facts))


def test_best_firmware_of_the_host_is_chosen() -> None:
    uefi, *_, u_boot = FIRMWARE[Arch.AARCH64]

    assert firmware_of(Arch.AARCH64, replace(BOARD, firmware=frozenset({u_boot, uefi}))) == uefi
    assert firmware_of(Arch.AARCH64, replace(BOARD, firmware=frozenset({u_boot}))) == u_boot


def test_qemu_brings_its_own_firmware_for_x86() -> None:
    assert firmware_of(Arch.X86_64, BOARD) is None


def test_host_without_firmware_is_told_with_the_remedy() -> None:
    with pytest.raises(InfrastructureError, match="the host has no firmware") as caught:
        firmware_of(Arch.AARCH64, BOARD)
    assert "use deploy_linaro_kernel" in str(caught.value.hint)
