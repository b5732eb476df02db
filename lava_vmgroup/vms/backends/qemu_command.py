# SPDX-License-Identifier: MIT
"""The QEMU command line of a VM: a pure function of the VM's description."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.testdefs.overlay import RECORDS_PORT
from lava_vmgroup.vms.backends.qemu_accelerator import Accelerator
from lava_vmgroup.vms.overlay_disk import OVERLAY_SERIAL

STDIO = "stdio,signal=off"
"""QEMU's standard input and output as a character device; Ctrl-C goes to the guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCard:
    """One network card of a VM."""

    name: str
    netdev: str
    """QEMU's network backend without its id."""
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The description of one VM; all paths are on the host."""

    name: str
    machine: str
    """QEMU's machine type."""
    memory_mib: int
    cpus: int
    accelerator: Accelerator
    disk: str | None
    """A qcow2 image; None for a VM without a disk."""
    overlay: str
    """A raw file that holds the test shell's files as a tar archive."""
    console: str
    """The character device, without an id, behind the serial console."""
    records: str
    """The file for the records that the guest writes to its port for them."""
    kernel: str | None = None
    initrd: str | None = None
    dtb: str | None = None
    append: str = ""
    firmware: str | None = None
    pflash: Sequence[str] = ()
    """Files of flash memories, which the guest may write; the first holds its firmware."""
    cards: Sequence[NetworkCard] = ()
    """The cards, in the order in which the guest finds them."""
    host_cpus: str | None = None
    """The host's CPUs to run on, in taskset's notation; None for all."""
    options: Sequence[str] = ()
    """Further options of the lab; the guest finds their devices after all others."""


def argv(machine: Machine) -> list[str]:
    """Return the words of the command that launches `machine`."""
    before, after = argv_around(machine)
    return [*before, *after]


def argv_around(machine: Machine) -> tuple[list[str], list[str]]:
    """Return the same words in two parts.

    Linux finds a device that is added between them after the VM's disks and cards.
    """
    accelerator = machine.accelerator
    words = ["taskset", "-c", machine.host_cpus] if machine.host_cpus is not None else []
    words += [
        *(accelerator.binary, "-name", machine.name),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *(
            "-machine",
            machine_option(machine.machine, accelerator),
            "-accel",
            accelerator.name,
            "-cpu",
            accelerator.cpu,
        ),
        *("-m", str(machine.memory_mib), "-smp", str(machine.cpus)),
        *("-chardev", f"{machine.console},id=console", "-serial", "chardev:console"),
    ]
    if machine.kernel is not None:
        words += ["-kernel", machine.kernel, "-append", machine.append]
    if machine.firmware is not None:
        words += ["-bios", machine.firmware]
    for unit, path in enumerate(machine.pflash):
        words += ["-drive", f"if=pflash,unit={unit},format=raw,file={_escaped(path)}"]
    if machine.initrd is not None:
        words += ["-initrd", machine.initrd]
    if machine.dtb is not None:
        words += ["-dtb", machine.dtb]
    if _is_vexpress(machine.machine):
        words += ["-audiodev", "none,id=silence"]  # otherwise its sound chip uses the host's
    devices = [*_drives(machine), *_cards(machine), *_records_port(machine)]
    if _by_mmio(machine):
        return [*words, *machine.options], devices
    return [*words, *devices, *machine.options], []


def is_virt(machine: str) -> bool:
    """Return whether a machine type is ARM's ``virt``, of any version and with any options."""
    return re.match(r"virt(-\d|,|$)", machine) is not None


def _is_vexpress(machine: str) -> bool:
    return machine.startswith("vexpress-")


def _has_no_pci(machine: str) -> bool:
    return is_virt(machine) or _is_vexpress(machine) or machine.startswith("microvm")


def machine_option(machine: str, accelerator: Accelerator) -> str:
    """Return the value of QEMU's ``-machine``.

    With KVM, ARM's ``virt`` must have the interrupt controller of the host.
    """
    if not is_virt(machine) or "gic-version=" in machine:
        return machine
    return f"{machine},gic-version={'host' if accelerator.name == 'kvm' else '2'}"


def _drives(machine: Machine) -> list[str]:
    """Return the options of the disk, which must be the guest's first, and of the overlay."""
    drives = [_drive(machine, "overlay", machine.overlay, "raw", OVERLAY_SERIAL)]
    if machine.disk is not None:
        drives.insert(0, _drive(machine, "disk", machine.disk, "qcow2", "lava-disk"))
    return _as_linux_finds_them(machine, drives)


def _drive(machine: Machine, name: str, path: str, image_format: str, serial: str) -> list[str]:
    return [
        *("-drive", f"if=none,id={name},format={image_format},file={_escaped(path)}"),
        *("-device", f"virtio-blk-{_bus(machine)},drive={name},serial={serial}"),
    ]


def _records_port(machine: Machine) -> list[str]:
    return [
        *("-chardev", f"file,id=records,path={_escaped(machine.records)}"),
        *("-device", f"virtio-serial-{_bus(machine)}"),
        *("-device", f"virtserialport,chardev=records,name={RECORDS_PORT}"),
    ]


def _cards(machine: Machine) -> list[str]:
    # Without romfile=, QEMU wants a boot ROM for a PCI card, and some hosts lack the file.
    rom = "" if _by_mmio(machine) else ",romfile="
    device = f"virtio-net-{_bus(machine)}"
    cards = [
        [
            *("-netdev", f"{card.netdev},id={card.name}"),
            *("-device", f"{device},netdev={card.name},mac={card.mac}{rom}"),
        ]
        for card in machine.cards
    ]
    if _is_vexpress(machine.machine) and len(cards) > 1:
        # It has only four places for virtio devices, but a network card of its own.
        first = machine.cards[0]
        cards[0] = ["-nic", f"{first.netdev},model=lan9118,mac={first.mac}"]
    return _as_linux_finds_them(machine, cards)


def _by_mmio(machine: Machine) -> bool:
    # virt has PCI, too, but at addresses that a 32-bit kernel may not reach.
    return _has_no_pci(machine.machine)


def _bus(machine: Machine) -> str:
    return "device" if _by_mmio(machine) else "pci"


def _as_linux_finds_them(machine: Machine, devices: list[list[str]]) -> list[str]:
    """Return the options of devices of one kind; Linux numbers the devices in the order given."""
    if _by_mmio(machine):
        devices.reverse()  # Linux finds virt's virtio devices from the last to the first
    return [word for device in devices for word in device]


def _escaped(path: str) -> str:
    """Return a path with its commas doubled for QEMU: a single one would end the option's value."""
    return path.replace(",", ",,")
