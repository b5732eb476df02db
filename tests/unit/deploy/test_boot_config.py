# SPDX-License-Identifier: MIT
"""Boot files are found in real disk images, made here without root."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.deploy import filesystems
from lava_vmgroup.deploy.boot_config import extract_boot_files
from tests.support.disk_images import ext_image, fat_image

EXTLINUX = """\
DEFAULT new
LABEL old
  KERNEL ../vmlinuz-1
LABEL new
  # the newest
  kernel ../vmlinuz-2
  INITRD /boot/initrd-2
  append root=/dev/vda1 rw console=ttyAMA0,38400n8
"""


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    boot = tmp_path / "root/boot"
    (boot / "extlinux").mkdir(parents=True)
    (boot / "vmlinuz-1").write_bytes(b"old kernel")
    (boot / "vmlinuz-2").write_bytes(b"new kernel" * 100_000)
    (boot / "initrd-2").write_bytes(b"new initrd")
    return tmp_path / "root"


@pytest.mark.parametrize("make", [ext_image, fat_image])
def test_default_entry_of_extlinux_is_taken_out(
    make: Callable[[Path, Path], Path], root: Path, tmp_path: Path
) -> None:
    (root / "boot/extlinux/extlinux.conf").write_text(EXTLINUX)
    image = make(root, tmp_path / "disk.img")

    files = extract_boot_files(image, tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes() == b"new kernel" * 100_000
    assert files.initrd is not None
    assert files.initrd.read_bytes() == b"new initrd"
    assert files.append == "root=/dev/vda1 rw console=ttyAMA0,38400n8"
    assert files.partition == 1


def test_first_entry_is_taken_without_a_default(root: Path, tmp_path: Path) -> None:
    text = EXTLINUX.replace("DEFAULT new\n", "")
    (root / "boot/extlinux/extlinux.conf").write_text(text)

    files = extract_boot_files(ext_image(root, tmp_path / "disk.img"), tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes() == b"old kernel"
    assert (files.initrd, files.append) == (None, "")


def test_debians_links_are_followed_in_an_image_without_partitions(
    root: Path, tmp_path: Path
) -> None:
    (root / "vmlinuz").symlink_to("boot/vmlinuz-2")
    (root / "initrd.img").symlink_to("/boot/initrd-2")
    image = ext_image(root, tmp_path / "disk.img", offset=0)

    files = extract_boot_files(image, tmp_path, soon())

    assert files is not None
    assert files.kernel.stat().st_size == 1_000_000
    assert files.initrd is not None
    assert (files.append, files.partition) == (None, 0)


def test_image_without_a_boot_configuration_has_no_boot_files(tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)

    image = ext_image(tmp_path / "root", tmp_path / "disk.img")

    assert extract_boot_files(image, tmp_path, soon()) is None


@pytest.mark.parametrize("content", [b"", b"no disk image at all", b"\0" * 5000])
def test_what_is_no_disk_image_has_no_boot_files(content: bytes, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(content)

    assert extract_boot_files(image, tmp_path, soon()) is None


@pytest.mark.parametrize("name", ["/boot/x\nquit", '/boot/x"; !touch pwned', "/boot/none", "-"])
def test_hostile_or_missing_kernel_is_refused(name: str, root: Path, tmp_path: Path) -> None:
    (root / "boot/extlinux/extlinux.conf").write_text(f"label a\n kernel {name}\n")
    image = ext_image(root, tmp_path / "disk.img")

    with pytest.raises(JobError, match="which is not in it"):
        extract_boot_files(image, tmp_path, soon())


@pytest.mark.parametrize("make", [ext_image, fat_image])
def test_a_kernel_that_is_no_kernel_by_its_size_is_refused(
    make: Callable[[Path, Path], Path],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filesystems, "MAX_FILE", 500_000)
    (root / "boot/extlinux/extlinux.conf").write_text(EXTLINUX)
    image = make(root, tmp_path / "disk.img")

    with pytest.raises(JobError, match=r"/boot/\S*vmlinuz-2 in disk.img has more than 0 MiB"):
        extract_boot_files(image, tmp_path, soon())


def test_link_with_a_long_target_is_followed(root: Path, tmp_path: Path) -> None:
    folder = "d" * 70
    (root / folder).mkdir()
    (root / folder / "vmlinuz").write_bytes(b"far away")
    (root / "vmlinuz").symlink_to(f"{folder}/vmlinuz")

    files = extract_boot_files(ext_image(root, tmp_path / "disk.img"), tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes() == b"far away"


@pytest.mark.parametrize("make", [ext_image, fat_image])
def test_kernel_is_found_at_a_path_with_blanks(
    make: Callable[[Path, Path], Path], root: Path, tmp_path: Path
) -> None:
    (root / "boot/my kernels").mkdir()
    (root / "boot/my kernels/a kernel").write_bytes(b"between blanks")
    text = "label a\n kernel /boot/my kernels/a kernel\n append x\n"
    (root / "boot/extlinux/extlinux.conf").write_text(text)

    files = extract_boot_files(make(root, tmp_path / "disk.img"), tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes() == b"between blanks"


@pytest.mark.parametrize(
    ("default", "kernel"),
    [("0", b"new kernel"), ("${saved_entry}", b"old kernel"), (None, b"old kernel")],
)
def test_saved_entry_counts_for_entry_files_where_grub_says_so(
    default: str | None, kernel: bytes, root: Path, tmp_path: Path
) -> None:
    (root / "boot/loader/entries").mkdir(parents=True)
    (root / "boot/grub2").mkdir()
    for number in (1, 2):
        text = f"version {number}\nlinux /boot/vmlinuz-{number}\n"
        (root / f"boot/loader/entries/id-{number}.conf").write_text(text)
    (root / "boot/grub2/grubenv").write_text("saved_entry=id-1\n")
    if default is not None:
        (root / "boot/grub2/grub.cfg").write_text(f'set default="{default}"\nblscfg\n')

    files = extract_boot_files(ext_image(root, tmp_path / "disk.img"), tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes().startswith(kernel)


@pytest.mark.parametrize(
    ("grub_cfg", "loader_conf", "kernel"),
    [
        ("menuentry new {\nlinux /boot/vmlinuz-2\n}\n", None, b"new kernel"),
        ("menuentry new {\nlinux /boot/vmlinuz-2\n}\nblscfg\n", None, b"old kernel"),
        ("menuentry new {\nlinux /boot/vmlinuz-2\n}\n", "timeout 3\n", b"old kernel"),
        ("configfile (hd0)/boot/grub2/grub.cfg\n", None, b"old kernel"),
    ],
)
def test_entry_files_count_only_for_a_boot_loader_that_reads_them(
    grub_cfg: str, loader_conf: str | None, kernel: bytes, root: Path, tmp_path: Path
) -> None:
    (root / "boot/loader/entries").mkdir(parents=True)
    (root / "boot/grub").mkdir()
    (root / "boot/loader/entries/a.conf").write_text("version 1\nlinux /boot/vmlinuz-1\n")
    (root / "boot/grub/grub.cfg").write_text(grub_cfg)
    if loader_conf is not None:
        (root / "boot/loader/loader.conf").write_text(loader_conf)

    files = extract_boot_files(ext_image(root, tmp_path / "disk.img"), tmp_path, soon())

    assert files is not None
    assert files.kernel.read_bytes().startswith(kernel)


@pytest.mark.parametrize(
    ("command", "warned"),
    [
        ("source /boot/grub/custom.cfg", True),
        ("if [ -f ${config_directory}/custom.cfg ]; then\nsource $prefix/custom.cfg\nfi", True),
        ("configfile (hd0,msdos1)/boot/grub/custom.cfg", True),
        ("source $prefix/absent.cfg", False),
        ("source /boot/grub/$name.cfg", False),
    ],
)
def test_another_file_that_grub_reads_is_told(
    command: str, warned: bool, root: Path, tmp_path: Path
) -> None:
    (root / "boot/grub").mkdir()
    entry = "menuentry new {\nlinux /boot/vmlinuz-2\n}\n"
    (root / "boot/grub/grub.cfg").write_text(f"{entry}{command}\n")
    (root / "boot/grub/custom.cfg").write_text(entry)

    files = extract_boot_files(ext_image(root, tmp_path / "disk.img"), tmp_path, soon())

    assert files is not None
    told = "/boot/grub/grub.cfg: it reads /boot/grub/custom.cfg, too, which is not looked at"
    assert files.warnings == ((told,) if warned else ())


def test_arguments_have_the_values_of_grub_cfg_and_unknown_ones_are_told(
    root: Path, tmp_path: Path
) -> None:
    (root / "boot/grub").mkdir()
    (root / "boot/grub/grub.cfg").write_text(
        'set kernelopts="root=/dev/vda ro quiet"\n'
        "menuentry old { linux /boot/vmlinuz-1 $kernelopts ${extra} net.ifnames=0; }\n"
    )

    files = extract_boot_files(ext_image(root, tmp_path / "disk.img"), tmp_path, soon())

    assert files is not None
    assert files.append == "root=/dev/vda ro quiet net.ifnames=0"
    assert files.warnings == ("/boot/grub/grub.cfg: $extra has no known value and is left empty",)


def test_entry_files_have_the_values_that_grub_cfg_sets(root: Path, tmp_path: Path) -> None:
    (root / "boot/grub").mkdir()
    (root / "boot/grub/grub.cfg").write_text('set kernelopts="root=/dev/vda ro"\nblscfg\n')
    (root / "boot/loader/entries").mkdir(parents=True)
    text = "linux /boot/vmlinuz-1\noptions $kernelopts $site_options quiet\n"
    (root / "boot/loader/entries/a.conf").write_text(text)

    files = extract_boot_files(ext_image(root, tmp_path / "disk.img"), tmp_path, soon())

    assert files is not None
    assert files.append == "root=/dev/vda ro quiet"
    assert files.warnings == (
        "/boot/loader/entries/: $site_options has no known value and is left empty",
    )
