# SPDX-License-Identifier: MIT
"""The formats of kernels, recognised by their first bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.deploy import uimage
from lava_vmgroup.deploy.layers import HEAD, Layer, shows

AARCH32, AARCH64, X86_64, RISCV64 = "aarch32", "aarch64", "x86_64", "riscv64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A format of kernels."""

    form: str
    """Its name, for messages."""
    architecture: str = ""
    """Empty if the format does not contain it."""
    boot_word: str
    """U-Boot's command for it."""


_ARM64 = Kernel(form="an arm64 Image", architecture=AARCH64, boot_word="booti")
_FORMATS = (
    (0x38, b"ARM\x64", _ARM64),
    (0x38, b"RSC\x05", Kernel(form="a RISC-V Image", architecture=RISCV64, boot_word="booti")),
    (0x24, b"\x18\x28\x6f\x01", Kernel(form="a zImage", architecture=AARCH32, boot_word="bootz")),
    (
        0x24,
        b"\x01\x6f\x28\x18",
        Kernel(form="a big-endian zImage", architecture=AARCH32, boot_word="bootz"),
    ),
    (0x202, b"HdrS", Kernel(form="a bzImage", architecture=X86_64, boot_word="zboot")),
    (0, b"\xd0\x0d\xfe\xed", Kernel(form="a device tree or FIT image", boot_word="bootm")),
)

_UIMAGE = b"\x27\x05\x19\x56"
_OURS = {"arm": AARCH32, "arm64": AARCH64, "x86_64": X86_64, "riscv": RISCV64}
_UIMAGE_ARCHITECTURES = {
    number: _OURS.get(name, name) for name, number in uimage.ARCHITECTURES.items()
}
_UIMAGE_ARCHITECTURE = 29
_UIMAGE_TYPE = 30

_ELF = b"\x7fELF"
_ELF_MACHINES = {3: "x86", 40: AARCH32, 62: X86_64, 183: AARCH64, 243: RISCV64}
_ELF_MACHINE = slice(18, 20)
_ELF_ORDER = 5
_ELF_BIG_ENDIAN = 2

_PE = b"MZ"
_PE_HEADER_AT = 0x3C
_PE_MACHINES = {
    0x14C: "x86",
    0x1C2: AARCH32,
    0x1C4: AARCH32,
    0x8664: X86_64,
    0xAA64: AARCH64,
    0x5064: RISCV64,
    0x6232: "loongarch32",
    0x6264: "loongarch64",
}
_UNPACKED_KNOWN = frozenset({"", AARCH32, AARCH64, X86_64, RISCV64})
"""Architectures whose kernels are recognised without the EFI program around them."""

_ZBOOT = struct.Struct("<8xII")
"""The position of the packed kernel in an EFI zboot image, and its size."""


def identify(head: bytes) -> Kernel | None:
    """Return the format of a kernel that begins with `head`; None for an unknown one."""
    for position, magic, kernel in _FORMATS:
        if shows(head, position, magic):
            return kernel
    if head.startswith(_UIMAGE) and len(head) > _UIMAGE_ARCHITECTURE:
        number = head[_UIMAGE_ARCHITECTURE]
        architecture = _UIMAGE_ARCHITECTURES.get(number, f"U-Boot's architecture {number}")
        return Kernel(form="a uImage", architecture=architecture, boot_word="bootm")
    if head.startswith(_ELF) and len(head) >= _ELF_MACHINE.stop:
        is_big = head[_ELF_ORDER] == _ELF_BIG_ENDIAN
        machine = int.from_bytes(head[_ELF_MACHINE], "big" if is_big else "little")
        architecture = _ELF_MACHINES.get(machine, f"ELF machine {machine}")
        return Kernel(form="an ELF program", architecture=architecture, boot_word="bootelf")
    if head.startswith(_PE):
        architecture = _pe_architecture(head)
        return Kernel(form="an EFI program", architecture=architecture, boot_word="bootefi")
    return None


def is_bootable(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a kernel or a device tree."""
    return identify(head) is not None


def boot_word(head: bytes) -> str:
    """Return U-Boot's command for a kernel that begins with `head`: ``bootz`` if unknown."""
    kernel = identify(head[:HEAD])
    return "bootz" if kernel is None else kernel.boot_word


def zboot_payload(head: bytes) -> tuple[int, int]:
    """Return position and size of the packed kernel in an EFI zboot image."""
    if len(head) < _ZBOOT.size:
        raise EOFError("it ends within its header")
    start, size = _ZBOOT.unpack_from(head)
    return start, size


def check_architecture(head: bytes, architecture: str, name: str, machine: str) -> None:
    """Raise `JobError` for a kernel that the guest's processor cannot run.

    `name` is the kernel's, `machine` the VM's device type, for messages.
    """
    kernel = identify(head)
    if shows(head, *Layer.ZBOOT.value) or kernel is None or kernel.architecture == "":
        return
    if kernel.architecture != architecture:
        raise JobError(
            f"the kernel {name} is {kernel.form} for {kernel.architecture}, "
            f"but {machine} is a VM for {architecture}",
            hint="give a kernel of the VM's architecture, or use another device_type",
        )


def check_zboot(head: bytes, name: str) -> None:
    """Raise `JobError` for an EFI zboot image for which there is no VM.

    Its kernel, once unpacked, has no mark of its architecture.
    """
    architecture = _pe_architecture(head)
    if architecture not in _UNPACKED_KNOWN:
        raise JobError(
            f"the kernel {name} is an EFI program for {architecture}, which no VM has",
            hint="give a kernel of the VM's architecture",
        )


def is_ramdisk(head: bytes) -> bool:
    """Return whether a file begins with U-Boot's header of a ramdisk."""
    is_uimage = head.startswith(_UIMAGE) and len(head) > _UIMAGE_TYPE
    return is_uimage and head[_UIMAGE_TYPE] == uimage.RAMDISK


def _pe_architecture(head: bytes) -> str:
    """Return the architecture of an EFI program; empty where its header is not in `head`."""
    machine = _pe_machine(head)
    return _PE_MACHINES.get(machine, f"PE machine {machine:#x}" if machine else "")


def _pe_machine(head: bytes) -> int:
    at = int.from_bytes(head[_PE_HEADER_AT : _PE_HEADER_AT + 4], "little")
    return int.from_bytes(head[at + 4 : at + 6], "little") if shows(head, at, b"PE\0\0") else 0
