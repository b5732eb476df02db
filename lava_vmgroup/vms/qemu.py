# SPDX-License-Identifier: MIT
"""The QEMU command line of a virtual machine: a pure function of its description."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lava_vmgroup.testdefs.overlay import RECORDS_PORT
from lava_vmgroup.vms.accelerator import Accelerator

OVERLAY_SERIAL = "lava-overlay"
"""The serial number by which a guest finds the disk with the test shell's files."""

STDIO = "stdio,signal=off"
"""QEMU's own input and output, as a character device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCard:
    """One virtio network card."""

    name: str
    netdev: str
    """QEMU's network backend without its id."""
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One virtual machine; all paths are on the host."""

    name: str
    machine: str
    memory_mib: int
    cpus: int
    accelerator: Accelerator
    disk: str | None
    """A qcow2 image."""
    overlay: str
    """A raw file that holds the test shell's files as a tar archive."""
    console: str
    """The character device, without an id, behind the serial console."""
    records: str
    """A file for what the guest writes to its port for records."""
    kernel: str | None = None
    initrd: str | None = None
    dtb: str | None = None
    append: str = ""
    firmware: str | None = None
    pflash: Sequence[str] = ()
    """Files of flash memories, written by the guest; the first holds its firmware."""
    cards: Sequence[NetworkCard] = ()
    """In the order in which the guest finds them."""
    host_cpus: str | None = None
    """The host's CPUs to run on, in taskset's notation; None for all."""
    options: Sequence[str] = ()
    """Further options of the lab's; their devices are found after all others."""


def argv(machine: Machine) -> list[str]:
    """The words that launch `machine`."""
    before, after = argv_around(machine)
    return [*before, *after]


def argv_around(machine: Machine) -> tuple[list[str], list[str]]:
    """The same words in two parts: a device added between them is the last that Linux finds."""
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
        words += ["-audiodev", "none,id=silence"]  # its sound chip would use the host's
    devices = [*_drives(machine), *_cards(machine), *_records_port(machine)]
    if _by_mmio(machine):
        return [*words, *machine.options], devices
    return [*words, *devices, *machine.options], []


def is_virt(machine: str) -> bool:
    """Return whether a machine type is ARM's ``virt``, of whatever version and options."""
    return re.match(r"virt(-\d|,|$)", machine) is not None


def _is_vexpress(machine: str) -> bool:
    return machine.startswith("vexpress-")


def _has_no_pci(machine: str) -> bool:
    return is_virt(machine) or _is_vexpress(machine) or machine.startswith("microvm")


def machine_option(machine: str, accelerator: Accelerator) -> str:
    """The machine type; ARM's ``virt`` must use the interrupt controller that the host has."""
    if not is_virt(machine) or "gic-version=" in machine:
        return machine
    return f"{machine},gic-version={'host' if accelerator.name == 'kvm' else '2'}"


def _drives(machine: Machine) -> list[str]:
    """The disk, which has to be the guest's first one, and the overlay."""
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
    # A PCI card would look for a boot ROM, which not every host has.
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
        # It has four places for virtio devices, and a network card of its own.
        first = machine.cards[0]
        cards[0] = ["-nic", f"{first.netdev},model=lan9118,mac={first.mac}"]
    return _as_linux_finds_them(machine, cards)


def _by_mmio(machine: Machine) -> bool:
    # Without PCI, virt serves 32-bit kernels too, which may not reach where it puts PCI.
    return _has_no_pci(machine.machine)


def _bus(machine: Machine) -> str:
    return "device" if _by_mmio(machine) else "pci"


def _as_linux_finds_them(machine: Machine, devices: list[list[str]]) -> list[str]:
    """The options of devices of one kind, so that Linux numbers them in the order given."""
    if _by_mmio(machine):
        devices.reverse()  # virt's virtio devices are found from the last to the first
    return [word for device in devices for word in device]


def _escaped(path: str) -> str:
    """A comma would end the option's value; QEMU takes two for one."""
    return path.replace(",", ",,")
