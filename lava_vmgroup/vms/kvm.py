# SPDX-License-Identifier: MIT
"""The reasons why a host has no KVM for a guest, and advice."""

from __future__ import annotations

from lava_vmgroup.vms.facts import Arch, HostFacts
from lava_vmgroup.vms.kernel_log import kvm_words, level_words, started_in_el2


def why_no_kvm(facts: HostFacts) -> str:
    """Return the reason why a guest cannot have KVM, as far as the facts contain it."""
    if not facts.kvm_opens:
        return why_kvm_does_not_open(facts)
    return f"the {facts.arch.value} host has no KVM for it, or not the QEMU that uses it"


def why_kvm_does_not_open(facts: HostFacts) -> str:
    """Return the state of a ``/dev/kvm`` that does not open, with the kernel's words about it."""
    state = "there and does not open" if facts.kvm_exists else "missing"
    if words := kvm_words(facts.kernel_log):
        return f"/dev/kvm is {state}; the kernel says: {words}"
    if started_in_el2(facts.kernel_log) is False:
        return f"/dev/kvm is {state}; the kernel says: {level_words(facts.kernel_log)}"
    if facts.known_arch is Arch.X86_64 and not facts.cpu_flags:
        return f"/dev/kvm is {state}; the processor shows neither vmx nor svm"
    log = "says nothing of KVM" if facts.kernel_log_opens else "cannot be read"
    return f"/dev/kvm is {state}; the kernel's log {log}"


def kvm_remedy(facts: HostFacts) -> str | None:
    """Return advice for a host without a working KVM; None if ``/dev/kvm`` opens."""
    if facts.kvm_opens:
        return None
    words = kvm_words(facts.kernel_log).lower()
    if "command line" in words:
        return "take kvm-arm.mode=none off the command line of the host's kernel"
    if "bios" in words:
        return "switch virtualization on in the setup of the host's firmware"
    if started_in_el2(facts.kernel_log) is False:
        return "have the boot loader start the host's kernel in EL2 (HYP mode)"
    if facts.kvm_exists:
        return "let the host's user into the group kvm, or log in as root"
    return "use a kernel with KVM on the host, started where it may use virtualization"
