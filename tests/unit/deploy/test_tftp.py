# SPDX-License-Identifier: MIT
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.config.boot_keys import LoadAddresses
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.deploy import tftp, uimage
from lava_vmgroup.deploy.tftp import KernelFiles, offered

Z_IMAGE = bytes(0x24) + b"\x18\x28\x6f\x01" + b"zImage" * 9
ARM64_IMAGE = bytes(0x38) + b"ARM\x64" + b"Image" * 9
ADDRESSES = {
    "u_load_addrs": LoadAddresses(kernel="0x40007000", ramdisk="0x45000000", dtb="0x41f00000"),
    "z_load_addrs": LoadAddresses(kernel="0x41000000", ramdisk="0x46000000", dtb="0x42f00000"),
}


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def config(**keys: Any) -> DeviceConfig:
    return DeviceConfig(hostname="board01", **{**ADDRESSES, **keys})


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    """Files of each kind, by their names."""
    contents = {
        "zImage": Z_IMAGE,
        "Image": ARM64_IMAGE,
        "uImage": uimage.wrap(Z_IMAGE, uimage.KERNEL, "arm"),
        "initrd": b"a ramdisk",
        "dtb": b"a tree",
        "blob": b"a blob",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def test_kernel_files_are_offered_for_a_while(tmp_path: Path, given: dict[str, Path]) -> None:
    root = tmp_path / "tftp"
    files = KernelFiles(kernel=given["zImage"], dtb=given["dtb"])

    with offered(files, config(), root, "job-1", soon()) as offer:
        tags = offer.tags(config())
        assert (tags["KERNEL"], tags["DTB"], tags["RAMDISK"]) == ("job-1/kernel", "job-1/dtb", "")
        assert (root / tags["KERNEL"]).read_bytes() == Z_IMAGE
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("kernel", "others", "keys", "command", "address"),
    [
        ("zImage", ("dtb",), {}, "bootz ${kernel_addr_r} - ${fdt_addr_r}", "0x41000000"),
        ("zImage", (), {}, "bootz ${kernel_addr_r}", "0x41000000"),
        (
            "uImage",
            ("ramdisk", "dtb"),
            {},
            "bootm ${kernel_addr_r} ${initrd_addr_r} ${fdt_addr_r}",
            "0x40007000",
        ),
        ("Image", ("ramdisk",), {}, "booti ${kernel_addr_r} ${initrd_addr_r}", "0x41000000"),
        ("zImage", ("ramdisk",), {"ramdisk_raw": True}, "bootz ${kernel_addr_r} -", "0x41000000"),
        ("zImage", ("dtb",), {"append_dtb": True}, "bootz ${kernel_addr_r}", "0x41000000"),
        ("zImage", (), {"uimage_only": True}, "bootm ${kernel_addr_r}", "0x40007000"),
        (
            "zImage",
            ("ramdisk", "dtb"),
            {"multi_image_only": True},
            "bootm ${kernel_addr_r} - ${fdt_addr_r}",
            "0x40007000",
        ),
    ],
)
def test_command_follows_from_the_kinds_of_the_files(
    tmp_path: Path,
    given: dict[str, Path],
    kernel: str,
    others: tuple[str, ...],
    keys: dict[str, Any],
    command: str,
    address: str,
) -> None:
    extra: dict[str, Any] = {
        name: given["initrd" if name == "ramdisk" else name] for name in others
    }
    files = KernelFiles(kernel=given[kernel], **extra)

    with offered(files, config(**keys), tmp_path / "tftp", "job-1", soon()) as offer:
        tags = offer.tags(config(**keys))

    assert (tags["BOOTX"], tags["KERNEL_ADDR"]) == (command, address)


def listing(image: Path) -> str:
    """Return another program's description of an image."""
    command = ["file", "--brief", str(image)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_headers_are_those_of_u_boot(tmp_path: Path, given: dict[str, Path]) -> None:
    files = KernelFiles(kernel=given["zImage"], ramdisk=given["initrd"])
    keys = config(uimage_only=True, text_offset="0x40008000")

    with offered(files, keys, tmp_path / "tftp", "job-1", soon()):
        kernel = listing(tmp_path / "tftp/job-1/kernel")
        ramdisk = listing(tmp_path / "tftp/job-1/ramdisk")

    assert "u-boot legacy uImage, Linux, Linux/ARM, OS Kernel Image" in kernel
    assert "Load Address: 0X40008000, Entry Point: 0X40008000" in kernel
    assert "u-boot legacy uImage, Linux, Linux/ARM, RAMDisk Image" in ramdisk


def test_one_image_of_kernel_and_ramdisk(tmp_path: Path, given: dict[str, Path]) -> None:
    files = KernelFiles(kernel=given["zImage"], ramdisk=given["initrd"])

    with offered(files, config(multi_image_only=True), tmp_path / "tftp", "job-1", soon()):
        image = tmp_path / "tftp/job-1/kernel"
        said, data = listing(image), image.read_bytes()[uimage.HEADER_SIZE :]

    assert "Linux/ARM, Multi-File Image" in said
    assert data[:12] == struct.pack(">3I", len(Z_IMAGE), 9, 0)
    assert data[12:] == Z_IMAGE + bytes(-len(Z_IMAGE) % 4) + b"a ramdisk" + bytes(3)


def test_blob_and_device_tree_are_around_the_kernel(tmp_path: Path, given: dict[str, Path]) -> None:
    files = KernelFiles(kernel=given["zImage"], dtb=given["dtb"])
    keys = config(append_dtb=True, prepend_blob=str(given["blob"]))

    with offered(files, keys, tmp_path / "tftp", "job-1", soon()) as offer:
        assert (tmp_path / "tftp" / offer.kernel).read_bytes() == b"a blob" + Z_IMAGE + b"a tree"


def test_other_folder_of_the_device_is_used(tmp_path: Path, given: dict[str, Path]) -> None:
    other = tmp_path / "other"
    keys = config(use_lava_tmpdir=False, alternative_dir=other, alternative_create_tmpdir=False)

    with offered(KernelFiles(kernel=given["zImage"]), keys, tmp_path, "job-1", soon()) as offer:
        assert offer.kernel == "job-1-kernel"
        assert (other / offer.kernel).is_file()
    assert list(other.iterdir()) == []


def test_root_file_system_is_unpacked_for_a_while(tmp_path: Path, given: dict[str, Path]) -> None:
    system = tmp_path / "system"
    (system / "etc").mkdir(parents=True)
    (system / "etc/hostname").write_text("board\n")
    archive = tmp_path / "rootfs.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", system, "."], check=True)
    (system / "etc/hostname").unlink()
    (system / "etc/more").write_text("of the job")
    overlay = tmp_path / "overlay.tar"
    subprocess.run(["tar", "-cf", overlay, "-C", system, "etc/more"], check=True)
    files = KernelFiles(kernel=given["zImage"], nfsrootfs=archive, nfs_overlays=(overlay,))

    with offered(files, config(), tmp_path / "tftp", "job-1", soon()) as offer:
        folder = Path(offer.tags(config())["NFSROOTFS"])
        assert (folder / "etc/hostname").read_text() == "board\n"
        assert (folder / "etc/more").read_text() == "of the job"
    assert not folder.exists()


def test_broken_archive_is_told_and_leaves_nothing(tmp_path: Path, given: dict[str, Path]) -> None:
    files = KernelFiles(kernel=given["zImage"], nfsrootfs=given["blob"])

    with (
        pytest.raises(JobError, match="blob cannot be unpacked"),
        offered(files, config(), tmp_path / "tftp", "job-1", soon()),
    ):
        pass
    assert list((tmp_path / "tftp").iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"uimage_only": True, "u_load_addrs": None}, "nothing says where it is loaded"),
        ({"uimage_only": True, "text_offset": "here"}, "a hexadecimal address, not 'here'"),
        ({"uimage_only": True, "uimage_arch": "vax"}, "'vax' is no architecture"),
        ({"prepend_blob": "/no/such/blob"}, "there is no file /no/such/blob"),
    ],
)
def test_configuration_that_makes_no_kernel_is_told(
    tmp_path: Path, given: dict[str, Path], keys: dict[str, Any], message: str
) -> None:
    with (
        pytest.raises(ConfigurationError, match=message),
        offered(KernelFiles(kernel=given["zImage"]), config(**keys), tmp_path, "job-1", soon()),
    ):
        pass


@pytest.mark.parametrize("link", ["/", "../../.."])
def test_no_archive_reaches_outside_through_a_link_of_the_one_before(
    link: str, tmp_path: Path, given: dict[str, Path]
) -> None:
    system, target = tmp_path / "system", tmp_path / "target"
    system.mkdir()
    target.mkdir()
    (system / "etc").symlink_to(target if link == "/" else f"{link}/target")
    rootfs, overlay = tmp_path / "rootfs.tar", tmp_path / "overlay.tar"
    subprocess.run(["tar", "-cf", rootfs, "-C", system, "."], check=True)
    (system / "etc").unlink()
    (system / "etc").mkdir()
    (system / "etc/passwd").write_text("evil")
    subprocess.run(["tar", "-cf", overlay, "-C", system, "etc/passwd"], check=True)
    files = KernelFiles(kernel=given["zImage"], nfsrootfs=rootfs, nfs_overlays=(overlay,))

    with (
        pytest.raises(JobError, match="overlay.tar has a member outside its own folder"),
        offered(files, config(), tmp_path / "tftp", "job-1", soon()),
    ):
        pass
    assert list(target.iterdir()) == []


def test_a_kernel_without_end_is_not_read(
    tmp_path: Path, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tftp, "_MAX_LOADED", len(Z_IMAGE) - 1)

    with (
        pytest.raises(JobError, match="the kernel has more than 0 MiB"),
        offered(KernelFiles(kernel=given["zImage"]), config(), tmp_path / "tftp", "1", soon()),
    ):
        pass
