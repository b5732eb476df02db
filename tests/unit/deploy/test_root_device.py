# SPDX-License-Identifier: MIT
"""The root device and the console of a command line are those that a VM has."""

import subprocess
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.deploy.boot_config import extract_boot_files
from lava_vmgroup.deploy.filesystems import Partition
from lava_vmgroup.deploy.root_device import Layout, Volume, fitted, last_console, layout_of
from tests.support.disk_images import MIB, ext_image, fat_image, two_partitions

IMAGES = Path(__file__).parent / "images"


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def volume(number: int, kind: str = "ext4", *, init: bool = False, opaque: bool = False) -> Volume:
    return Volume(
        partition=Partition(number=number, uuid=f"aa-{number:02}", label=f"part{number}"),
        type=kind,
        uuid=f"uuid-{number}",
        label=f"label{number}",
        files=None if opaque else object(),  # type: ignore[arg-type]
        has_init=init,
    )


UBUNTU = Layout(volumes=(volume(1, init=True), volume(15, "vfat"), volume(16)))
FEDORA = Layout(volumes=(volume(2, "vfat"), volume(3), volume(4, "btrfs", opaque=True)))
LVM = Layout(volumes=(volume(1), volume(2, "LVM2_member", opaque=True)))
WHOLE = Layout(volumes=(volume(0, init=True),))
TWO = Layout(volumes=(volume(1, "vfat"), volume(2)))


@pytest.mark.parametrize(
    ("given", "layout", "ramdisk", "expected", "is_said"),
    [
        ("root=/dev/vda1 rw", UBUNTU, True, "root=/dev/vda1 rw", False),
        ("root=/dev/vda16 rw", UBUNTU, True, "root=/dev/vda1 rw", True),
        ("root=/dev/mmcblk0p2 rw", UBUNTU, True, "root=/dev/vda1 rw", True),
        ("root=/dev/mmcblk1p1 rw", UBUNTU, True, "root=/dev/vda1 rw", True),
        ("root=/dev/mmcblk0p2 rw", TWO, False, "root=/dev/vda2 rw", True),
        ("root=/dev/sda1", UBUNTU, True, "root=/dev/vda1", True),
        ("root=/dev/nvme0n1p2", UBUNTU, True, "root=/dev/vda1", True),
        ("root=/dev/vdb1", UBUNTU, True, "root=/dev/vda1", True),
        ("root=/dev/sda", WHOLE, False, "root=/dev/vda", True),
        ("root=/dev/vda2 rw", WHOLE, False, "root=/dev/vda rw", True),
        ("root=ubi0:rootfs", UBUNTU, True, "root=/dev/vda1", True),
        ("root=LABEL=label1 ro", UBUNTU, True, "root=LABEL=label1 ro", False),
        ("root=LABEL=label1 ro", UBUNTU, False, "root=/dev/vda1 ro", True),
        ("root=UUID=UUID-1 ro", UBUNTU, True, "root=UUID=UUID-1 ro", False),
        ("root=UUID=other", UBUNTU, True, "root=/dev/vda1", True),
        ("root=PARTUUID=AA-01", UBUNTU, False, "root=PARTUUID=AA-01", False),
        ("root=PARTUUID=bb-02 x", UBUNTU, True, "root=/dev/vda1 x", True),
        ("root=PARTLABEL=part1", UBUNTU, False, "root=PARTLABEL=part1", False),
        ("root=/dev/disk/by-uuid/uuid-1", UBUNTU, True, "root=/dev/disk/by-uuid/uuid-1", False),
        ("root=/dev/disk/by-label/no", UBUNTU, True, "root=/dev/vda1", True),
        ("root=UUID=uuid-4 rootflags=subvol=root", FEDORA, True, None, False),
        ("root=UUID=other", FEDORA, True, "root=/dev/vda4", True),
        ("root=/dev/mapper/vg-root", LVM, True, None, False),
        ("root=UUID=inside", LVM, True, None, False),
        ("root=/dev/sda3", LVM, True, None, True),
        ("root=/dev/ram0 rw", UBUNTU, True, None, False),
        ("root=/dev/nfs nfsroot=1.2.3.4:/", UBUNTU, False, None, False),
        ("quiet", UBUNTU, False, "quiet root=/dev/vda1", False),
        ("quiet", UBUNTU, True, "quiet", False),
        ("root= quiet", UBUNTU, False, "quiet root=/dev/vda1", False),
        ("root=UUID= quiet", UBUNTU, True, "quiet", False),
        ('root="/dev/sda1" a="b c" -- x', UBUNTU, True, 'root=/dev/vda1 a="b c" -- x', True),
    ],
)
def test_root_device_is_one_that_the_vm_has(
    given: str, layout: Layout, ramdisk: bool, expected: str | None, is_said: bool
) -> None:
    arguments, warning = fitted(given, layout, layout.root(), has_ramdisk=ramdisk)

    assert arguments == (given if expected is None else expected)
    assert (warning is not None) is is_said


def test_unknown_root_names_the_partition_that_cannot_be_read() -> None:
    _, warning = fitted("root=/dev/sda3", LVM, LVM.root(), has_ramdisk=True)

    assert warning == (
        "the VM has no /dev/sda3, and its root is not known: "
        "partition 2 (LVM2_member) cannot be read"
    )


def test_root_that_the_job_chose_stays() -> None:
    chosen = UBUNTU.find(16)

    assert fitted("root=/dev/vda16", UBUNTU, chosen, has_ramdisk=True) == ("root=/dev/vda16", None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("root=x", "root=x console=ttyAMA0"),
        ("", "console=ttyAMA0"),
        ("console=ttyS2,1500000n8 rw", "console=ttyS2,1500000n8 rw console=ttyAMA0"),
        ("console=ttyAMA0,115200 rw", "console=ttyAMA0,115200 rw"),
        ("console=tty0 console=ttyAMA0,38400n8", "console=tty0 console=ttyAMA0,38400n8"),
        ("console=ttyAMA0,38400 console=tty0 x", "console=tty0 x console=ttyAMA0,38400"),
        ("console=ttyAMA01", "console=ttyAMA01 console=ttyAMA0"),
        ("quiet -- console=tty0", "quiet console=ttyAMA0 -- console=tty0"),
    ],
)
def test_last_console_is_the_one_that_is_listened_to(given: str, expected: str) -> None:
    assert last_console(given, "ttyAMA0") == expected


def separate_boot(folder: Path, number: int, grub: str = "") -> Path:
    """Ubuntu's layout: the system on partition 1, `/boot` on another, an empty EFI partition."""
    root, boot = folder / "root", folder / "boot"
    (root / "boot").mkdir(parents=True)
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/lib/systemd").mkdir(parents=True)
    (root / "usr/lib/systemd/systemd").write_text("init")
    (root / "usr/sbin/init").symlink_to("../lib/systemd/systemd")
    (root / "sbin").symlink_to("usr/sbin")
    (root / "vmlinuz").symlink_to("boot/vmlinuz-6.8")
    (boot / "grub").mkdir(parents=True)
    (boot / "grub/grub.cfg").write_text(grub)
    (boot / "vmlinuz-6.8").write_bytes(b"KERNEL-6.8")
    (boot / "vmlinuz").symlink_to("vmlinuz-6.8")
    (boot / "initrd.img-6.8").write_bytes(b"INITRD")
    (boot / "initrd.img").symlink_to("initrd.img-6.8")
    (folder / "parts").mkdir()
    system = ext_image(root, folder / "parts/system", offset=0).read_bytes()
    boots = ext_image(boot, folder / "parts/boot", offset=0).read_bytes()
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(32 * MIB)
        file.seek(2 * MIB)
        file.write(boots)
        file.seek(12 * MIB)
        file.write(system)
    size = 8 * MIB // 512
    table = (
        "label: gpt\n"
        f"1 : start={12 * MIB // 512}, size={size}\n"
        "15 : start=2048, size=2048, type=uefi\n"
        f"{number} : start={2 * MIB // 512}, size={size}\n"
    )
    subprocess.run(["/usr/sbin/sfdisk", "-q", image], input=table.encode(), check=True)
    return image


def test_system_is_on_the_partition_that_has_an_init(tmp_path: Path) -> None:
    image = separate_boot(tmp_path, 16)

    files = extract_boot_files(image, tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes() == b"KERNEL-6.8"
    assert files.initrd is not None
    assert (files.append, files.partition) == (None, 1)


def test_partition_that_has_no_init_is_none_with_a_system(tmp_path: Path) -> None:
    image = two_partitions(tmp_path)
    assert not layout_of(image, soon()).has_init
    (tmp_path / "boot/sbin").mkdir()
    (tmp_path / "boot/sbin/init").touch()

    image = fat_image(tmp_path / "boot", tmp_path / "fat.img")

    assert layout_of(image, soon()).has_init


def test_grub_of_a_separate_boot_partition_is_read(tmp_path: Path) -> None:
    config = (
        "menuentry 'Ubuntu' {\n linux /vmlinuz-6.8 root=LABEL=cloudimg-rootfs ro\n"
        " initrd /initrd.img-6.8\n}\n"
    )

    files = extract_boot_files(separate_boot(tmp_path, 16, config), tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes() == b"KERNEL-6.8"
    assert (files.append, files.partition) == ("root=LABEL=cloudimg-rootfs ro", 1)


def test_fat_file_system_without_a_partition_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "root/extlinux").mkdir(parents=True)
    (tmp_path / "root/extlinux/extlinux.conf").write_text("default a\nlabel a\nkernel /Image\n")
    (tmp_path / "root/Image").write_bytes(b"K")
    image = tmp_path / "disk.img"
    subprocess.run(
        ["/usr/sbin/mkfs.vfat", "-F", "16", "-C", image, "16384"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for path in (tmp_path / "root").iterdir():
        subprocess.run(["mcopy", "-s", "-i", image, path, "::"], check=True)

    files = extract_boot_files(image, tmp_path, soon())

    assert files is not None
    assert (files.kernel.read_bytes(), files.partition) == (b"K", 0)


@pytest.mark.parametrize("make", [ext_image, fat_image])
def test_entries_of_the_boot_loader_specification_are_found(make: object, tmp_path: Path) -> None:
    entries = tmp_path / "root/loader/entries"
    entries.mkdir(parents=True)
    for name in ("1", "2"):
        (entries / f"fedora-{name}.conf").write_text(
            f"version {name}\nlinux /vmlinuz-{name}\noptions root=UUID=e ro\n"
        )
        (tmp_path / f"root/vmlinuz-{name}").write_bytes(f"kernel {name}".encode())
    image = make(tmp_path / "root", tmp_path / "disk.img")  # type: ignore[operator]

    files = extract_boot_files(image, tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes() == b"kernel 2"
    assert files.append == "root=UUID=e ro"


def test_entry_that_lacks_its_kernel_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "root/extlinux").mkdir(parents=True)
    (tmp_path / "root/extlinux/extlinux.conf").write_text(
        "default a\nlabel a\nkernel /gone\nlabel b\nkernel /Image\n"
    )
    (tmp_path / "root/Image").write_bytes(b"K")

    files = extract_boot_files(
        fat_image(tmp_path / "root", tmp_path / "disk.img"), tmp_path, soon()
    )

    assert files is not None
    assert files.kernel.read_bytes() == b"K"
    assert files.warnings == (
        "/extlinux/extlinux.conf: entry 'a' boots '/gone', which is not in it",
    )


@pytest.mark.parametrize(
    ("config", "default"),
    [
        ("default gone\nlabel b\nkernel /Image\n", "gone"),
        ("default a\nlabel a\nlocalboot 1\nlabel b\nkernel /Image\n", "a"),
    ],
)
def test_default_entry_that_cannot_be_booted_is_named(
    config: str, default: str, tmp_path: Path
) -> None:
    (tmp_path / "root/extlinux").mkdir(parents=True)
    (tmp_path / "root/extlinux/extlinux.conf").write_text(config)
    (tmp_path / "root/Image").write_bytes(b"K")

    files = extract_boot_files(
        fat_image(tmp_path / "root", tmp_path / "disk.img"), tmp_path, soon()
    )

    assert files is not None
    (warning,) = files.warnings
    assert f"the default entry, {default!r}, has no kernel" in warning


def test_saved_entry_of_grub_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "root/EFI/BOOT").mkdir(parents=True)
    (tmp_path / "root/EFI/BOOT/grub.cfg").write_text(
        'set default="gone"\nmenuentry "boot"{\nlinux /bzImage LABEL=boot root=PARTUUID=a-02\n}\n'
    )
    (tmp_path / "root/bzImage").write_bytes(b"K")

    files = extract_boot_files(
        fat_image(tmp_path / "root", tmp_path / "disk.img"), tmp_path, soon()
    )

    assert files is not None
    assert files.append == "LABEL=boot root=PARTUUID=a-02"
    assert "'gone'" in files.warnings[0]


def test_system_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    image = separate_boot(tmp_path, 16)
    with image.open("r+b") as file:
        file.seek(12 * MIB)
        file.write(bytes(8 * MIB))
        file.seek(12 * MIB)
        file.write(b"hsqs" + bytes(24) + b"\4\0\0\0")

    files = extract_boot_files(image, tmp_path, soon())

    assert files is not None
    assert files.partition == 1
    assert files.warnings == ("no init was found; partition 1 (squashfs) cannot be read",)
