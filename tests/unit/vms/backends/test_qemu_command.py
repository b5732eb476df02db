# SPDX-License-Identifier: MIT
import dataclasses
import itertools
import subprocess
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.vms.backends.qemu_accelerator import Accelerator, kvm_choice, tcg_choice
from lava_vmgroup.vms.backends.qemu_command import Machine, NetworkCard, argv
from lava_vmgroup.vms.facts import Arch, HostFacts, arch_of

ARM_BOTH = frozenset({"qemu-system-arm", "qemu-system-aarch64"})
BOARD = HostFacts(
    machine="aarch64",
    memory_mib=2000,
    kvm_opens=True,
    qemu_programs=ARM_BOTH,
    firmware=frozenset(),
)


@pytest.mark.parametrize(
    ("host", "guest", "binary", "cpu"),
    [
        (Arch.AARCH64, Arch.AARCH32, "qemu-system-aarch64", "host,aarch64=off"),
        (Arch.AARCH64, Arch.AARCH64, "qemu-system-aarch64", "host"),
        (Arch.AARCH32, Arch.AARCH32, "qemu-system-arm", "host"),
    ],
)
def test_kvm_runs_a_guest_that_the_host_can_run(
    host: Arch, guest: Arch, binary: str, cpu: str
) -> None:
    facts = dataclasses.replace(
        BOARD, machine={Arch.AARCH64: "aarch64", Arch.AARCH32: "armv7l"}[host]
    )

    assert kvm_choice(guest, facts) == Accelerator(binary=binary, name="kvm", cpu=cpu)


@pytest.mark.parametrize(
    ("guest", "change"),
    [
        (Arch.X86_64, {}),
        (Arch.AARCH64, {"kvm_opens": False}),
        (Arch.AARCH64, {"machine": "armv7l"}),
        (Arch.AARCH32, {"qemu_programs": frozenset({"qemu-system-arm"})}),
    ],
)
def test_kvm_is_not_chosen_where_it_cannot_run(guest: Arch, change: dict[str, object]) -> None:
    assert kvm_choice(guest, dataclasses.replace(BOARD, **change)) is None  # type: ignore[arg-type]


def test_emulation_takes_the_program_that_is_there() -> None:
    only_64 = dataclasses.replace(BOARD, qemu_programs=frozenset({"qemu-system-aarch64"}))

    assert tcg_choice(Arch.AARCH32, BOARD).binary == "qemu-system-arm"
    assert tcg_choice(Arch.AARCH32, only_64).binary == "qemu-system-aarch64"


def test_host_without_qemu_is_refused_with_the_package_to_install() -> None:
    bare = dataclasses.replace(BOARD, qemu_programs=frozenset())

    with pytest.raises(InfrastructureError, match="no qemu-system-aarch64 .*found: none") as caught:
        tcg_choice(Arch.AARCH64, bare)
    assert "install qemu-system-arm" in str(caught.value.hint)


def test_unknown_host_is_refused() -> None:
    with pytest.raises(InfrastructureError, match="unknown architecture, 'riscv64'"):
        arch_of("riscv64")


CARDS = ((1, "user"), (2, "group"))
MACHINE = Machine(
    name="vm1",
    machine="virt",
    memory_mib=256,
    cpus=2,
    accelerator=Accelerator(binary="qemu-system-aarch64", name="kvm", cpu="host,aarch64=off"),
    disk="/images/a,b/disk.qcow2",
    overlay="/images/overlay.tar",
    console="pipe,path=console",
    records="/images/a,b/records",
    kernel="/images/kernel",
    initrd="/images/initrd",
    append="root=/dev/vda1 console=ttyAMA0,38400n8",
)


def following(words: list[str], option: str) -> list[str]:
    return [after for word, after in itertools.pairwise(words) if word == option]


def test_kernel_arguments_stay_one_word_with_their_comma() -> None:
    words = argv(MACHINE)

    assert following(words, "-append") == ["root=/dev/vda1 console=ttyAMA0,38400n8"]
    assert following(words, "-kernel") == ["/images/kernel"]
    assert following(words, "-accel") == ["kvm"]
    assert following(words, "-cpu") == ["host,aarch64=off"]


def test_comma_in_a_path_does_not_end_the_option() -> None:
    drives = following(argv(MACHINE), "-drive")

    assert [drive for drive in drives if drive.endswith("file=/images/a,,b/disk.qcow2")]


@pytest.mark.parametrize(
    ("machine", "order"), [("virt", ["overlay", "disk"]), ("q35", ["disk", "overlay"])]
)
def test_disk_is_what_linux_finds_first(machine: str, order: list[str]) -> None:
    words = following(argv(dataclasses.replace(MACHINE, machine=machine)), "-device")

    devices = [device for device in words if "drive=" in device]
    assert [device.split("drive=")[1].split(",")[0] for device in devices] == order


@pytest.mark.parametrize(
    ("machine", "order"), [("virt", ["group", "user"]), ("q35", ["user", "group"])]
)
def test_network_cards_are_numbered_in_their_order(machine: str, order: list[str]) -> None:
    cards = [
        NetworkCard(name=name, netdev="user", mac="52:54:00:00:00:01") for name in ("user", "group")
    ]
    words = argv(dataclasses.replace(MACHINE, machine=machine, cards=cards))

    devices = [device for device in following(words, "-device") if "net" in device.split(",")[0]]
    assert [device.split("netdev=")[1].split(",")[0] for device in devices] == order
    assert following(words, "-netdev") == [f"user,id={name}" for name in order]


def test_guest_that_restarts_ends_its_qemu() -> None:
    assert "-no-reboot" in argv(MACHINE)


def test_console_and_port_for_records_are_where_they_are_looked_for() -> None:
    words = argv(MACHINE)

    console, records = following(words, "-chardev")
    assert console == "pipe,path=console,id=console"
    assert records == "file,id=records,path=/images/a,,b/records"
    assert following(words, "-serial") == ["chardev:console"]
    assert "virtserialport,chardev=records,name=lava-vmgroup.records" in words


def test_firmware_serves_an_image_without_kernel() -> None:
    machine = dataclasses.replace(MACHINE, kernel=None, initrd=None, firmware="/u-boot.bin")

    words = argv(machine)

    assert following(words, "-bios") == ["/u-boot.bin"]
    assert "-append" not in words


def test_machine_is_pinned_to_its_cpus_of_the_host() -> None:
    words = argv(dataclasses.replace(MACHINE, host_cpus="2-3"))

    assert words[:4] == ["taskset", "-c", "2-3", "qemu-system-aarch64"]


@pytest.mark.parametrize(("machine", "last"), [("virt", False), ("q35", True)])
def test_devices_of_the_lab_are_found_after_the_disk(machine: str, last: bool) -> None:
    options = ("-device", "virtio-blk,drive=more")

    words = argv(dataclasses.replace(MACHINE, machine=machine, options=options))

    devices = following(words, "-device")
    assert devices.index(options[1]) == (len(devices) - 1 if last else 0)


def test_flash_memories_are_units_in_their_order() -> None:
    words = argv(dataclasses.replace(MACHINE, kernel=None, pflash=("/vm/code,1", "/vm/vars")))

    assert [word for word in words if "pflash" in word] == [
        "if=pflash,unit=0,format=raw,file=/vm/code,,1",
        "if=pflash,unit=1,format=raw,file=/vm/vars",
    ]
    assert "-kernel" not in words


def test_vexpress_takes_all_devices_of_a_vm(tmp_path: Path) -> None:
    for name, size in (("overlay", 1 << 20), ("kernel", 4096)):
        (tmp_path / name).write_bytes(bytes(size))
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "disk", "1M"]
    subprocess.run(command, check=True, cwd=tmp_path)
    cards = [NetworkCard(name=name, netdev="user", mac=f"52:54:00:00:00:0{n}") for n, name in CARDS]
    machine = dataclasses.replace(
        MACHINE,
        machine="vexpress-a15",
        accelerator=Accelerator(binary="qemu-system-arm", name="tcg", cpu="cortex-a15"),
        cards=cards,
        console="null",
        disk="disk",
        overlay="overlay",
        records="records",
        kernel="kernel",
        initrd=None,
    )

    ran = subprocess.run(
        [*argv(machine), "-S", "-monitor", "stdio"],
        input=b"info qtree\nquit\n",
        capture_output=True,
        cwd=tmp_path,
    )

    assert ran.returncode == 0, ran.stderr.decode()
    tree = ran.stdout.decode()
    assert tree.count("dev: virtio-blk-device") == 2
    assert all(card.mac in tree for card in cards)


@pytest.mark.parametrize(
    ("machine", "option"),
    [
        ("virt", "virt,gic-version=2"),
        ("virt-7.2", "virt-7.2,gic-version=2"),
        ("virt,highmem=off", "virt,highmem=off,gic-version=2"),
        ("vexpress-a15", "vexpress-a15"),
    ],
)
def test_devices_of_machines_without_pci_are_on_the_bus_that_they_have(
    machine: str, option: str
) -> None:
    emulated = Accelerator(binary="qemu-system-arm", name="tcg", cpu="cortex-a15")

    words = argv(dataclasses.replace(MACHINE, machine=machine, accelerator=emulated))

    assert following(words, "-machine") == [option]
    assert not [word for word in words if "virtio-blk-pci" in word]
    serials = [word.partition("serial=")[2] for word in words if "serial=" in word]
    assert serials == ["lava-overlay", "lava-disk"]  # the last is the guest's first
