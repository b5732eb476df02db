# SPDX-License-Identifier: MIT
"""A real U-Boot, in QEMU without any disk, that fails: it is said at once, in its own words."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.boards import BoardSetup, load
from lava_vmgroup.boards.bootloader import Driver
from lava_vmgroup.config.boot_keys import LoadAddresses
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.console.loader import LoaderFailed
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.tftp import KernelFiles

U_BOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
LOADS = (
    "setenv autoload no, dhcp, tftpboot ${{kernel_addr_r}} {place}{{KERNEL}}, "
    "booti ${{kernel_addr_r}}"
)


@pytest.fixture
def board(tmp_path: Path, job_files: JobFiles) -> Iterator[Callable[[str], Driver]]:
    """Makes a driver of a board that loads its kernel from this place of the TFTP server."""
    made: list[Driver] = []

    def make(place: str) -> Driver:
        config = DeviceConfig(
            hostname="board01",
            client_type="bootloader",
            connection_command="qemu-system-aarch64 -machine virt -cpu cortex-a57 -m 256 "
            f"-nographic -bios {U_BOOT} -netdev user,id=net,tftp={tmp_path}/tftp,restrict=on "
            "-device virtio-net-pci,netdev=net,romfile=",
            connection_command_pattern="",
            hard_reset_command="true",
            bootloader_prompt="=>",
            boot_cmd_timeout=120.0,
            image_boot_msg_timeout=600.0,
            boot_cmds=LOADS.format(place=place),
            z_load_addrs=LoadAddresses(kernel="40400000", ramdisk="0", dtb="0"),
        )
        setup = BoardSetup(
            config=config,
            dispatcher=DispatcherConfig(lava_image_tmpdir=tmp_path / "tftp"),
            recorder=Recorder(tmp_path / "console.log"),
            log=NodeLog("board01"),
            files=job_files,
            job="job-1",
        )
        driver = load(setup)
        assert isinstance(driver, Driver)
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.close()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            "nowhere/",
            "the boot loader cannot load a file of the job after 'tftpboot ${kernel_addr_r} "
            "nowhere/job-1/kernel': TFTP error: 'File not found' (1)",
        ),
        (
            "",
            "the boot loader is back at its prompt '=>' after 'booti ${kernel_addr_r}': "
            "Bad Linux ARM64 Image magic!",
        ),
    ],
)
def test_u_boot_that_cannot_boot_is_quoted(
    board: Callable[[str], Driver], tmp_path: Path, place: str, message: str
) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes(b"no kernel at all" * 4096)
    driver = board(place)
    driver.deploy_kernel(KernelFiles(kernel=kernel), Deadline.after("the test", 60.0))

    with pytest.raises(LoaderFailed) as caught:
        driver.boot(Deadline.after("the test", 300.0))
    assert caught.value.message.startswith(message)
