# SPDX-License-Identifier: MIT
"""The choice between KVM and emulation, by job, host and QEMU."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import Unfit
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.link import CommandResult, Link
from lava_vmgroup.connections.ssh_access import Address
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.job.model import WantedAccelerator
from lava_vmgroup.vms.backends.qemu_accelerator import Accelerator, Guest, leaves_kvm
from lava_vmgroup.vms.backends.qemu_probe import accelerator_of
from lava_vmgroup.vms.facts import Arch, HostFacts
from lava_vmgroup.vms.introduction import Offer
from lava_vmgroup.vms.reached import ReachedHost
from lava_vmgroup.vms.vm_host import VMHost
from tests.unit.vms.backends.test_qemu_preflight import BOARD

ANY, KVM, TCG = WantedAccelerator.ANY, WantedAccelerator.KVM, WantedAccelerator.TCG
GUEST = Guest(arch=Arch.AARCH64, machine="virt", memory_mib=512, cpus=1)


class Qemu:
    """A host on which QEMU makes machines with these accelerators only."""

    def __init__(self, *accelerators: str, complaint: str = "no such CPU") -> None:
        self.accelerators = accelerators
        self.complaint = complaint
        self.asked: list[str] = []
        self.programs: list[str] = []

    def run(self, words: Sequence[str], deadline: Deadline) -> CommandResult:
        self.asked.append(words[5])
        self.programs.append(words[3])
        if words[5] in self.accelerators:
            return CommandResult(status=0, output="QEMU 9.1.0 monitor - type 'help'\n")
        said = f"qemu-system-aarch64: {self.complaint}\n(qemu) quit\n" if self.complaint else ""
        return CommandResult(status=1, output=said)


def host_with(facts: HostFacts) -> VMHost:
    address = Address(host="h", port=22, username="root", host_keys=(), patience_s=60)
    host = VMHost(Offer(address=address, folder="/vms"), JobKey(), "group")
    host._facts = facts
    return host


def choose(
    qemu: Qemu,
    wanted: WantedAccelerator,
    facts: HostFacts = BOARD,
    host: VMHost | None = None,
    **more: Any,
) -> Accelerator:
    guest = replace(GUEST, wanted=wanted, **more)
    limit = Deadline.after("the test", 60)
    host = host or host_with(facts)
    at = ReachedHost(host=host, link=cast(Link, qemu), log=NodeLog("vm"))
    return accelerator_of(guest, at, limit)


@pytest.mark.parametrize("wanted", [ANY, KVM])
def test_kvm_runs_the_guest_where_it_works(wanted: WantedAccelerator) -> None:
    attributes = choose(Qemu("kvm", "tcg"), wanted).attributes

    assert attributes == {
        "accelerator": "kvm",
        "qemu_binary": "qemu-system-aarch64",
        "qemu_version": "9.1.0",
    }


def test_guest_that_had_to_be_emulated_says_so_with_the_reason() -> None:
    attributes = choose(Qemu("tcg"), ANY).attributes

    assert (attributes["accelerator"], attributes["emulated"]) == ("tcg", "true")
    assert attributes["why_not_kvm"] == "qemu-system-aarch64: no such CPU"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (BOARD, "qemu-system-aarch64: no such CPU"),
        (
            replace(
                BOARD,
                kvm_opens=False,
                kvm_exists=False,
                kernel_log=("kvm [1]: HYP mode not available",),
            ),
            "/dev/kvm is missing; the kernel says: HYP mode not available",
        ),
        (replace(BOARD, machine="x86_64"), "the x86_64 host has no KVM for it"),
    ],
)
def test_guest_that_wants_kvm_is_refused_and_never_emulated(facts: Any, words: str) -> None:
    qemu = Qemu("tcg")

    with pytest.raises(Unfit) as caught:
        choose(qemu, KVM, facts)

    assert words in caught.value.message
    assert caught.value.hint
    assert "tcg" not in qemu.asked


def test_guest_that_wants_emulation_never_asks_for_kvm() -> None:
    qemu = Qemu("kvm", "tcg")

    attributes = choose(qemu, TCG).attributes

    assert (attributes["accelerator"], qemu.asked) == ("tcg", ["tcg"])
    assert attributes["why_not_kvm"] == "the job wants it emulated"


@pytest.mark.parametrize(
    ("options", "leaves"),
    [
        ("", False),
        ("-accel tcg", True),
        ("--accel tcg,thread=multi", True),
        ("-machine accel=kvm:tcg", True),
        ("-M virt,accel=kvm", False),
        ("-accel kvm,dirty-ring-size=4096", False),
        ("-device virtio-rng-device", False),
    ],
)
def test_options_of_the_lab_may_let_qemu_leave_kvm(options: str, leaves: bool) -> None:
    assert leaves_kvm(options.split()) is leaves


def test_guest_whose_options_name_another_accelerator_does_not_claim_kvm() -> None:
    attributes = choose(Qemu("kvm", "tcg"), ANY, may_fall_back=True).attributes

    assert attributes["accelerator"] == "unknown (qemu_options)"
    with pytest.raises(Unfit, match="qemu_options of its device type"):
        choose(Qemu("kvm", "tcg"), KVM, may_fall_back=True)


@pytest.mark.parametrize("wanted", [ANY, TCG])
@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        ("unsupported machine type", "qemu-system-aarch64: unsupported machine type"),
        ("", "it does not say why"),
    ],
)
def test_guest_that_qemu_cannot_even_emulate_is_refused_with_its_words(
    complaint: str, words: str, wanted: WantedAccelerator
) -> None:
    with pytest.raises(Unfit) as caught:
        choose(Qemu(complaint=complaint), wanted)

    refusal = f"qemu-system-aarch64 on the host cannot make the machine 'virt': {words}"
    assert caught.value.message == refusal
    assert "correct qemu_machine, qemu_cpu" in str(caught.value.hint)


def test_guest_with_options_of_the_lab_is_tried_though_qemu_cannot_make_it_without_them() -> None:
    attributes = choose(Qemu(), ANY, has_options=True).attributes

    assert (attributes["accelerator"], attributes["qemu_version"]) == ("tcg", "unknown")


def test_host_is_asked_once_for_guests_that_are_alike() -> None:
    qemu, host = Qemu("tcg"), host_with(BOARD)

    first, second = (choose(qemu, ANY, host=host) for _ in range(2))

    assert first == second
    assert qemu.asked == ["kvm", "tcg"]


@pytest.mark.parametrize("accelerator", ["kvm", "tcg"])
def test_qemu_and_cpu_of_the_lab_are_probed_and_chosen(accelerator: str) -> None:
    qemu, own = Qemu(accelerator), "/opt/qemu/bin/qemu-system-aarch64"

    choice = choose(qemu, WantedAccelerator(accelerator), binary=own, cpu="max")

    assert (choice.name, choice.binary, choice.cpu) == (accelerator, own, "max")
    assert {*qemu.programs} == {own}
