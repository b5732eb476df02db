# SPDX-License-Identifier: MIT
"""The first bytes of a kernel show its format, its architecture and its content."""

import gzip
import lzma
import os
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.deploy.boot_config import extract_boot_files
from lava_vmgroup.deploy.fetch import JobFiles, reference_problems
from lava_vmgroup.deploy.kernels import boot_word, check_architecture
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.reference import FileReference
from tests.support.disk_images import ext_image

ARM64 = b"MZ" + bytes(0x36) + b"ARM\x64" + os.urandom(4000)
ZIMAGE = bytes(0x24) + b"\x18\x28\x6f\x01" + bytes(600)
BZIMAGE = b"MZ" + bytes(0x200) + b"HdrS" + bytes(600)
RISCV = bytes(0x38) + b"RSC\x05" + bytes(600)
UIMAGE = b"\x27\x05\x19\x56" + bytes(25) + b"\x02\x02\x00" + bytes(600)


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(11) + struct.pack("<H", machine) + bytes(600)


def uimage_of(architecture: int, kind: int = 2) -> bytes:
    return b"\x27\x05\x19\x56" + bytes(25) + bytes([architecture, kind, 0]) + bytes(600)


def pe(machine: int) -> bytes:
    head = b"MZ" + bytes(0x3A) + struct.pack("<I", 0x40)
    return head + b"PE\0\0" + struct.pack("<H", machine) + bytes(600)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE).stdout


def zboot(payload: bytes, size: int | None = None) -> bytes:
    """An EFI program with a packed kernel inside, and something behind it."""
    size = len(payload) if size is None else size
    head = b"MZ\0\0zimg" + struct.pack("<II", 128, size) + bytes(8) + b"gzip\0"
    return head.ljust(128, b"\0") + payload + b"the program that unpacks it"


@pytest.mark.parametrize(
    ("kernel", "architecture", "word"),
    [
        (ARM64, "aarch64", "booti"),
        (ZIMAGE, "aarch32", "bootz"),
        (bytes(0x24) + b"\x01\x6f\x28\x18" + bytes(600), "aarch32", "bootz"),
        (uimage_of(5), "mips", "bootm"),
        (uimage_of(99), "U-Boot's architecture 99", "bootm"),
        (pe(0x6264), "loongarch64", "bootefi"),
        (pe(0x1234), "PE machine 0x1234", "bootefi"),
        (b"\x7fELF\x01\x02\x01" + bytes(11) + b"\0\x08" + bytes(600), "ELF machine 8", "bootelf"),
        (RISCV, "riscv64", "booti"),
        (BZIMAGE, "x86_64", "zboot"),
        (UIMAGE, "aarch32", "bootm"),
        (elf(183), "aarch64", "bootelf"),
        (elf(40), "aarch32", "bootelf"),
    ],
)
def test_kernel_of_another_architecture_is_refused(
    kernel: bytes, architecture: str, word: str
) -> None:
    check_architecture(kernel, architecture, "vmlinuz", "kvm-test")

    assert boot_word(kernel) == word
    for other in {"aarch32", "aarch64", "x86_64"} - {architecture}:
        with pytest.raises(JobError, match=f"vmlinuz is .* for {architecture}, but .* {other}"):
            check_architecture(kernel, other, "vmlinuz", "kvm-test")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstd])
def test_kernel_in_an_efi_program_is_unpacked(
    pack: Callable[[bytes], bytes], job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "vmlinuz").write_bytes(zboot(pack(ARM64)))
    deadline = Deadline.after("the test", 60.0)

    kernel = job_files.fetch(FileReference(url="vmlinuz"), deadline, NodeLog(), Unpack.KERNEL)

    assert kernel.read_bytes() == ARM64


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (zboot(gzip.compress(ARM64), 1 << 20), "it ends within the kernel"),
        (zboot(gzip.compress(ARM64)[:-9]), "unexpected end of file"),
    ],
)
def test_damaged_kernel_in_an_efi_program_is_refused(
    kernel: bytes, expected: str, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "vmlinuz").write_bytes(kernel)
    deadline = Deadline.after("the test", 60.0)

    with pytest.raises(JobError, match=f"vmlinuz cannot be unpacked: .*{re.escape(expected)}"):
        job_files.fetch(FileReference(url="vmlinuz"), deadline, NodeLog(), Unpack.KERNEL)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"070701" + bytes(900), "Image is a cpio archive, no kernel"),
        (b"!<arch>\ndebian-binary" + bytes(900), "Image is an ar archive or a Debian package, no"),
        (bytes(510) + b"\x55\xaa" + bytes(900), "Image is a disk image, no kernel"),
        (b"QFI\xfb" + bytes(900), "Image is a disk image, no kernel"),
        (b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n", "Image is a web page"),
        (b"", "Image is empty"),
        (b'{"error": 404}', "Image is a text that begins with"),
        (b"not found\n", "Image is a text that begins with 'not found'"),
        (uimage_of(2, 3), "Image is a ramdisk"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "Image is a pointer of git-lfs"),
    ],
)
def test_page_in_the_place_of_a_kernel_is_refused(
    content: bytes, expected: str, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "Image").write_bytes(content)
    reference = FileReference(url="Image")

    (problem,) = reference_problems(reference, tmp_path, Unpack.KERNEL)
    with pytest.raises(JobError, match=expected):
        job_files.fetch(reference, Deadline.after("the test", 60.0), NodeLog(), Unpack.KERNEL)

    assert expected in problem


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zboot(gzip.compress(data))])
def test_packed_kernel_of_an_image_is_unpacked(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    (tmp_path / "root/boot").mkdir(parents=True)
    (tmp_path / "root/boot/vmlinuz").write_bytes(pack(ARM64))
    image = ext_image(tmp_path / "root", tmp_path / "disk.img")

    files = extract_boot_files(image, tmp_path, Deadline.after("the test", 60.0))

    assert files is not None
    assert files.kernel.read_bytes() == ARM64


def test_efi_program_with_a_kernel_for_no_vm_is_refused(
    job_files: JobFiles, tmp_path: Path
) -> None:
    kernel = bytearray(zboot(gzip.compress(b"MZ" + os.urandom(3000))))
    struct.pack_into("<I", kernel, 0x3C, 0x40)
    kernel[0x40:0x46] = b"PE\0\0" + struct.pack("<H", 0x6264)
    (tmp_path / "vmlinuz").write_bytes(kernel)
    deadline = Deadline.after("the test", 60.0)

    with pytest.raises(JobError, match="vmlinuz is an EFI program for loongarch64"):
        job_files.fetch(FileReference(url="vmlinuz"), deadline, NodeLog(), Unpack.KERNEL)
