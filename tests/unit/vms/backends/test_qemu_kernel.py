# SPDX-License-Identifier: MIT
"""A VM's kernel, device tree and command line are held against its machine."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.group_keys import QemuArch
from lava_vmgroup.deploy.device_tree import compatible
from lava_vmgroup.deploy.filesystems import Partition
from lava_vmgroup.deploy.root_device import Layout, Volume
from lava_vmgroup.vms.backends.qemu_kernel import check_kernel, fitting_tree, with_right_root
from lava_vmgroup.vms.facts import Arch
from lava_vmgroup.vms.load import Deployed
from tests.unit.systems.test_tools import VM

ARM64 = b"MZ" + bytes(0x36) + b"ARM\x64" + bytes(600)
ARM = DeviceConfig(client_type="qemu", qemu_arch=QemuArch.AARCH32, qemu_machine="virt")
LIKE_HOST = DeviceConfig(client_type="qemu")


def tree(*names: str) -> bytes:
    """A device tree for a machine of these names."""
    strings = b"model\0compatible\0"
    value = b"\0".join(name.encode() for name in names) + b"\0"
    padded = value + bytes(-len(value) % 4)
    body = struct.pack(">II", 1, 0) + struct.pack(">III", 3, 4, 0) + b"abc\0"
    body += struct.pack(">I", 4) + struct.pack(">III", 3, len(value), 6) + padded
    body += struct.pack(">II", 2, 9)
    header = struct.pack(">10I", 0xD00DFEED, 0, 40, 40 + len(body), *(0,) * 6)
    return header + body + strings


class Heard:
    """A log that keeps its warnings."""

    def __init__(self) -> None:
        self.log = NodeLog()
        self.words: list[str] = []
        self.log.warning = lambda _kind, text, **_: self.words.append(text)  # type: ignore[method-assign]


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    (tmp_path / "Image").write_bytes(ARM64)
    return tmp_path / "Image"


def test_kernel_of_another_architecture_is_refused(kernel: Path) -> None:
    with pytest.raises(JobError, match="Image is an arm64 Image for aarch64, but kvm is a VM for"):
        check_kernel(kernel, VM, ARM, None, NodeLog())


def test_kernel_of_a_vm_like_its_host_is_held_against_the_host(kernel: Path) -> None:
    check_kernel(kernel, VM, LIKE_HOST, None, NodeLog())
    check_kernel(kernel, VM, LIKE_HOST, Arch.AARCH64, NodeLog())

    with pytest.raises(JobError, match="VM for x86_64"):
        check_kernel(kernel, VM, LIKE_HOST, Arch.X86_64, NodeLog())


def test_kernel_for_the_jobs_own_commands_is_not_judged(kernel: Path) -> None:
    check_kernel(kernel, replace(VM, launch_with=("xl create x",)), ARM, None, NodeLog())


def test_kernel_in_an_unknown_format_is_said(kernel: Path) -> None:
    kernel.write_bytes(bytes(600))
    heard = Heard()

    check_kernel(kernel, VM, ARM, None, heard.log)

    assert heard.words == ["Image is no kernel in a format that is known"]


def test_names_of_a_device_tree_are_read() -> None:
    assert compatible(tree("arm,vexpress", "x")) == ("arm,vexpress", "x")


@pytest.mark.parametrize("data", [b"", b"\xd0\x0d\xfe\xed", tree("a")[:50], bytes(100)])
def test_damaged_device_tree_has_no_names(data: bytes) -> None:
    assert compatible(data) == ()


@pytest.mark.parametrize(
    ("names", "machine", "is_kept"),
    [
        (("arm,vexpress,v2p-ca15", "arm,vexpress"), "virt", False),
        (("arm,vexpress,v2p-ca15", "arm,vexpress"), "", False),
        (("arm,vexpress,v2p-ca15", "arm,vexpress"), "virt-7.2", False),
        (("arm,vexpress,v2p-ca15", "arm,vexpress"), "vexpress-a15", True),
        (("linux,dummy-virt",), "virt", True),
    ],
)
def test_device_tree_of_another_machine_is_left_out_with_a_warning(
    names: tuple[str, ...], machine: str, is_kept: bool, tmp_path: Path
) -> None:
    dtb, heard = tmp_path / "board.dtb", Heard()
    dtb.write_bytes(tree(*names))

    kept = fitting_tree(dtb, VM, replace(ARM, qemu_machine=machine), heard.log)

    assert (kept == dtb) is is_kept
    assert [names[0] in word for word in heard.words] == ([] if is_kept else [True])


def test_vexpress_without_a_device_tree_is_refused() -> None:
    with pytest.raises(JobError, match="vexpress-a15 needs a device tree"):
        fitting_tree(None, VM, replace(ARM, qemu_machine="vexpress-a15"), NodeLog())


def test_root_device_is_changed_with_a_warning_unless_the_job_launches_the_vm() -> None:
    volume = Volume(partition=Partition(number=1), type="ext4", has_init=True)
    deployed = Deployed(append="root=/dev/sda1 rw", layout=Layout(volumes=(volume,)), root=1)
    heard = Heard()

    changed = with_right_root(deployed, VM, heard.log)
    kept = with_right_root(deployed, replace(VM, launch_with=("x",)), heard.log)

    assert (changed.append, kept.append) == ("root=/dev/vda1 rw", "root=/dev/sda1 rw")
    assert heard.words == ["root=/dev/sda1 is /dev/vda1 on the VM"]
