# SPDX-License-Identifier: MIT
"""Requirements are met or not by the words of real kernels."""

from dataclasses import replace

import pytest

from lava_vmgroup.job.requires import parse_requirement, parse_requirements
from lava_vmgroup.vms.facts import HostFacts
from lava_vmgroup.vms.kernel_log import without_stamp
from lava_vmgroup.vms.kvm import kvm_remedy
from lava_vmgroup.vms.requires import described, lacking, offered, questions

STARTED_EL1 = "[    0.630078] CPU: All CPU(s) started at EL1"
STARTED_EL2 = "[    0.592278] CPU: All CPU(s) started at EL2"
NO_HYP = "[    3.763862] kvm [1]: HYP mode not available"
DISABLED = "[    3.698385] kvm [1]: KVM disabled from command line"
EARLY = """\
[    3.414950] kvm [1]: IPA Size Limit: 48 bits
[    3.498219] kvm [1]: GICv3: no GICV resource entry
[    3.498527] kvm [1]: disabling GICv2 emulation
[    3.557815] kvm [1]: GIC system register CPU interface enabled
[    3.586095] kvm [1]: vgic interrupt IRQ9
"""
NVHE = f"{STARTED_EL2}\n{EARLY}[    3.641978] kvm [1]: Hyp mode initialized successfully"
PROTECTED = (
    "[    0.000000] kvm [0]: Reserved 14 MiB at 0xbec00000\n"
    f"{STARTED_EL2}\n{EARLY}[    3.827239] kvm [1]: Protected nVHE mode initialized successfully"
)
VHE = f"{STARTED_EL2}\n{EARLY}[    0.867756] kvm [1]: VHE mode initialized successfully"


def arm(log: str = "", *, kvm: bool = False, **more: object) -> HostFacts:
    facts = HostFacts(
        machine="aarch64",
        memory_mib=1976,
        cpus=2,
        kvm_exists=kvm,
        kvm_opens=kvm,
        gic="GICv3",
        kernel_log=tuple(map(without_stamp, log.splitlines())),
        qemu_programs=frozenset({"qemu-system-arm", "qemu-system-aarch64"}),
        qemu_versions={"qemu-system-arm": "7.2.15", "qemu-system-aarch64": "8.2.0"},
        firmware=frozenset(),
    )
    return replace(facts, **more)  # type: ignore[arg-type]


def evidence(word: str, facts: HostFacts, qemu_binary: str = "") -> str | None:
    requirement = parse_requirement(word)
    return lacking([requirement], facts, qemu_binary).get(requirement)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (arm(f"{STARTED_EL1}\n{NO_HYP}"), "the kernel says: HYP mode not available"),
        (arm(f"{STARTED_EL2}\n{DISABLED}"), "the kernel says: KVM disabled from command line"),
        (arm(STARTED_EL1), "the kernel says: CPU: All CPU(s) started at EL1"),
        (arm(STARTED_EL2), "the kernel's log says nothing of KVM"),
        (arm(kernel_log_opens=False), "the kernel's log cannot be read"),
        (
            arm("[ 1.1][    T1] kvm [1]: Failed to initialize VMID allocator."),
            "the kernel says: Failed to initialize VMID allocator.",
        ),
        (
            arm("CPU: All CPU(s) started in SVC mode.", machine="armv7l"),
            "the kernel says: CPU: All CPU(s) started in SVC mode.",
        ),
        (
            arm("<3>[    2.1] kvm: disabled by bios", machine="x86_64"),
            "the kernel says: disabled by bios",
        ),
        (
            arm("[ 2.1] kvm_intel: VMX not supported by CPU 0", machine="x86_64"),
            "the kernel says: kvm_intel: VMX not supported by CPU 0",
        ),
        (
            arm("[ 0.1] x86/cpu: VMX (outside TXT) disabled by BIOS", machine="x86_64"),
            "the kernel says: x86/cpu: VMX (outside TXT) disabled by BIOS",
        ),
        (
            arm("kvm: no hardware support for 'kvm_amd'\nkvm: host DEBUGCTL x", machine="x86_64"),
            "the kernel says: no hardware support for 'kvm_amd'",
        ),
        (arm(machine="x86_64"), "the processor shows neither vmx nor svm"),
    ],
)
def test_missing_kvm_is_told_in_the_kernels_own_words(facts: HostFacts, said: str) -> None:
    assert evidence("kvm", facts) == f"/dev/kvm is missing; {said}"
    assert kvm_remedy(facts)


def test_device_without_a_driver_behind_it_is_no_kvm() -> None:
    # kmod makes the device before a module is loaded.
    facts = arm("[ 2.1] kvm: disabled by bios", machine="x86_64", kvm_exists=True)

    assert evidence("kvm", facts) == (
        "/dev/kvm is there and does not open; the kernel says: disabled by bios"
    )
    assert "firmware" in str(kvm_remedy(facts))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (arm(VHE, kvm=True), ["kvm", "el2", "kvm-mode:vhe"]),
        (arm(NVHE, kvm=True), ["kvm", "el2", "kvm-mode:nvhe"]),
        (arm(PROTECTED, kvm=True), ["kvm", "el2", "kvm-mode:protected"]),
        (
            arm("kvm [1]: Hyp nVHE mode initialized successfully", kvm=True),
            ["kvm", "el2", "kvm-mode:nvhe"],
        ),
        (
            arm("kvm [1]: Hyp hVHE mode initialized successfully", kvm=True),
            ["kvm", "el2", "kvm-mode:nvhe"],
        ),
        (
            arm("kvm [1]: Protected hVHE mode initialized successfully", kvm=True),
            ["kvm", "el2", "kvm-mode:protected"],
        ),
        (
            arm("kvm [1]: VHE+NV2 mode initialized successfully", kvm=True),
            ["kvm", "el2", "kvm-mode:vhe"],
        ),
        (arm(f"{STARTED_EL2}\n{DISABLED}"), ["el2"]),
        (arm(DISABLED), ["el2"]),
        (arm("CPU: All CPU(s) started in HYP mode.", machine="armv7l"), ["el2"]),
        (arm(f"{STARTED_EL1}\n{NO_HYP}"), []),
        (arm(kvm=True), ["kvm", "el2"]),
        (arm(), []),
        (arm(machine="x86_64", kvm=True), ["kvm"]),
    ],
)
def test_host_has_what_its_kernel_says_and_nothing_else(facts: HostFacts, words: list[str]) -> None:
    possible = ["kvm", "el2", "kvm-mode:vhe", "kvm-mode:nvhe", "kvm-mode:protected"]

    assert [word for word in possible if evidence(word, facts) is None] == words
    assert [word for word in offered(facts) if word.startswith(("kvm", "el2"))] == words


@pytest.mark.parametrize(
    ("word", "facts", "said"),
    [
        ("el2", arm(NO_HYP), "the kernel says: HYP mode not available"),
        ("el2", arm(), "cannot be told; the kernel's log says nothing of it (any more)"),
        ("el2", arm(kernel_log_opens=False), "cannot be told; the kernel's log cannot be read"),
        ("el2", arm(machine="x86_64"), "the host is x86_64, which has no EL2"),
        ("kvm-mode:nvhe", arm(VHE, kvm=True), "the kernel says: VHE mode initialized successf"),
        ("kvm-mode:nvhe", arm(NO_HYP), "/dev/kvm is missing; the kernel says: HYP mode not av"),
        ("kvm-mode:vhe", arm(kvm=True), "the mode of KVM cannot be told"),
        ("gic:2", arm(), "the host has GICv3"),
        ("gic:3", arm(gic=""), "the host has no GIC in /proc/interrupts"),
        ("arch:x86_64", arm(), "the host is aarch64"),
        ("arch:aarch64", arm(machine="riscv64"), "the host is riscv64"),
        ("cpus>=3", arm(), "the host has 2 CPUs"),
        ("memory>=2048", arm(), "the host has 1976 MiB of memory"),
        ("qemu>=8", arm(), "qemu-system-arm is of version 7.2.15"),
        ("qemu>=8", arm(qemu_programs=frozenset()), "the host has none of qemu-system-"),
        ("qemu>=8", arm(qemu_versions={}), "the version of qemu-system-aarch64 cannot be told"),
        ("module:vhost_net", arm(), "the running kernel has no module vhost_net"),
        ("device:/dev/vfio/vfio", arm(), "/dev/vfio/vfio is missing, or no device"),
        ("command:trace-cmd", arm(), "there is no command trace-cmd"),
        ("file:/etc/x", arm(), "/etc/x is missing"),
    ],
)
def test_what_is_missing_is_told_with_what_is_there(word: str, facts: HostFacts, said: str) -> None:
    assert said in str(evidence(word, facts))


@pytest.mark.parametrize(
    ("version", "wanted", "met"),
    [
        ("8.0", "8", True),
        ("8", "8.0.0", True),
        ("10.0.2", "9.2", True),
        ("7.2.15", "7.2.9", True),
        ("7.2.15", "7.10", False),
        ("7.2.94", "8.0", False),
    ],
)
def test_versions_are_compared_as_versions(version: str, wanted: str, met: bool) -> None:
    facts = arm(qemu_versions=dict.fromkeys(["qemu-system-arm", "qemu-system-aarch64"], version))

    assert (evidence(f"qemu>={wanted}", facts) is None) is met


def test_labs_own_qemu_of_a_vm_is_the_one_that_counts() -> None:
    own = "/opt/qemu/bin/qemu-system-arm"
    facts = arm(qemu_versions={"qemu-system-arm": "7.2.15", own: "9.1.0"})

    assert evidence("qemu>=9", facts, own) is None
    assert questions(parse_requirements(["qemu>=9"]), own) == [f"version:{own}"]


def test_all_that_is_missing_is_told_at_once_with_its_words() -> None:
    facts = arm(f"{STARTED_EL1}\n{NO_HYP}", there=frozenset({"module:vhost_net"}))
    wanted = parse_requirements(["kvm", "el2", "cpus>=2", "module:vhost-net", "file:/x"])

    assert described(lacking(wanted, facts)) == (
        "requires kvm: /dev/kvm is missing; the kernel says: HYP mode not available; "
        "requires el2: the kernel says: CPU: All CPU(s) started at EL1; "
        "requires file:/x: /x is missing"
    )


def test_host_says_what_it_has_in_words_that_a_job_can_use() -> None:
    words = offered(arm(VHE, kvm=True))

    assert words == [
        "kvm",
        "el2",
        "kvm-mode:vhe",
        "gic:3",
        "arch:aarch64",
        "cpus>=2",
        "memory>=1976",
        "qemu>=7.2.15",
    ]
    assert lacking(parse_requirements(words), arm(VHE, kvm=True)) == {}
