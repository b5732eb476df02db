# SPDX-License-Identifier: MIT
"""Files that describe a VM as LAVA v1 did, in one line of QEMU's options, are understood."""

import pytest

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.group_keys import QemuArch
from lava_vmgroup.config.inventory import load_vm_type
from tests.unit.config.conftest import Lab

DRIVE = "-drive file={DISK_IMAGE},if=none,id=d -device virtio-blk-device,drive=d"


def loaded(lab: Lab, name: str = "kvm-arm", **keys: str) -> DeviceConfig:
    text = "".join(f"{key} = {value}\n" for key, value in keys.items())
    lab.write(f"device-types/{name}.conf", f"client_type = qemu\n{text}")
    return load_vm_type(name, lab.search_path)


def test_machine_memory_and_cpus_are_taken_from_the_options(lab: Lab) -> None:
    config = loaded(
        lab,
        qemu_binary="qemu-system-arm",
        hardware="-smp 3,sockets=3,cores=1 -realtime mlock=off -m 640 -cpu host -machine "
        "vexpress-a15,accel=kvm,usb=off",
        qemu_options="%(hardware)s -nographic -enable-kvm",
        qemu_drive_interface=DRIVE,
    )

    assert (config.qemu_machine, config.qemu_memory, config.qemu_smp) == ("vexpress-a15", 640, 3)
    assert (config.qemu_binary, config.qemu_cpu, config.qemu_options) == ("", "", ())


def test_program_under_taskset_is_pinned_and_extra_devices_stay(lab: Lab) -> None:
    config = loaded(
        lab,
        "other",
        qemu_binary="taskset -c 0 qemu-system-aarch64",
        qemu_options="-M virt -cpu host -m 1G -device virtio-net-device,vlan=0,id=net0 -net "
        "user,vlan=0 -device virtio-rng-pci,rng=r -show-cursor -no-reboot -nographic",
    )

    assert config.qemu_host_cpus == ("0",)
    assert (config.qemu_arch, config.qemu_memory) == (QemuArch.AARCH64, 1024)
    assert config.qemu_options == ("-device", "virtio-rng-pci,rng=r")


def test_architecture_is_that_of_the_cpu(lab: Lab) -> None:
    options = "-M virt -cpu host,aarch64=off -nographic"

    config = loaded(lab, "other", qemu_binary="qemu-system-aarch64", qemu_options=options)

    assert config.qemu_arch is QemuArch.AARCH32


def test_accelerator_alone_keeps_the_machine(lab: Lab) -> None:
    options = "-machine accel=kvm:tcg -nographic -net nic,model=virtio -net user -hda {DISK_IMAGE}"

    config = loaded(lab, "kvm", qemu_binary="qemu-system-x86_64", qemu_options=options)

    assert (config.qemu_machine, config.qemu_options) == ("", ())


def test_lab_that_names_its_own_program_keeps_it(lab: Lab) -> None:
    config = loaded(lab, qemu_binary="/opt/qemu/qemu-system-arm", qemu_options="-device x -m 100")

    assert config.qemu_binary == "/opt/qemu/qemu-system-arm"
    assert (config.qemu_options, config.qemu_memory) == (("-device", "x"), 100)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("qemu_options", "-kernel /boot/Image", "'-kernel /boot/Image' cannot be kept"),
        ("qemu_options", "-drive file={DISK_IMAGE}", "'-drive file={DISK_IMAGE}' cannot be kept"),
        ("qemu_options", "-net tap,ifname=tap0", "'-net tap,ifname=tap0' cannot be kept"),
        ("qemu_options", "-m lots", "'-m lots' cannot be kept"),
        ("qemu_options", "-smp many", "'-smp many' cannot be kept"),
        ("qemu_binary", "sudo qemu-system-arm", "expected a program, or taskset -c CPUS PROGRAM"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_file_and_key(
    key: str, value: str, expected: str, lab: Lab
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(lab, **{key: value})

    assert "kvm-arm.conf" in caught.value.message
    assert key in caught.value.message
    assert expected in caught.value.message
