# SPDX-License-Identifier: MIT
"""Boards that write their own disk from the master image, a small system that they boot by network.

The whole image is written as it is, with its partition table.  LAVA v1 split it instead and filled
partitions that the lab had made and labelled.
"""

from __future__ import annotations

import re
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.boards import bootloader
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_keys import JobKey
from lava_vmgroup.console.access import KeyOwner, open_to_ssh
from lava_vmgroup.console.login import Login
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy.disk import write_disk
from lava_vmgroup.deploy.lab_files import LabFiles
from lava_vmgroup.deploy.tftp import KernelFiles, Served
from lava_vmgroup.deploy.unpack import Unpack

_DIAL_S = 60.0
_BY_ID = "/dev/disk/by-id"


class Driver(bootloader.Driver):
    """A driver of one board; see `lava_vmgroup.boards.Board`."""

    def deploy_image(self, image: Path, deadline: Deadline) -> None:
        """Boot the master image, and write the image to the board's disk over SSH."""
        config = self._setup.config
        disk = _disk(config)
        self._offers.close()
        with self._offered(self._master_files(deadline), deadline) as offer:
            shell = self._start_master(offer, deadline)
            self._write(image, disk, shell, deadline)
        self._commands, self._offer = "boot_cmds", Served()

    def _master_files(self, deadline: Deadline) -> KernelFiles:
        setup, config = self._setup, self._setup.config
        labs = LabFiles(config=config, files=setup.files, log=setup.log)

        def fetched(name: str, purpose: Unpack) -> Path | None:
            return labs.fetch(f"master_{name}", deadline, purpose)

        kernel = fetched("kernel", Unpack.KERNEL)
        if kernel is None:
            raise ConfigurationError(
                f"device {config.hostname} has no master_kernel",
                hint="set it, and master_ramdisk or master_nfsrootfs, to those of a master image",
            )
        return KernelFiles(
            kernel=kernel,
            ramdisk=fetched("ramdisk", Unpack.NEVER),
            dtb=fetched("dtb", Unpack.KERNEL),
            nfsrootfs=fetched("nfsrootfs", Unpack.NEVER),
        )

    def _start_master(self, offer: Served, deadline: Deadline) -> Shell:
        config = self._setup.config
        self._log.event("state", "starting the master image", state="starting the master image")
        login = Login(
            test_image_prompts=(re.escape(config.master_str), *config.test_image_prompts),
            login_prompt=config.master_login_prompt,
            username=config.master_username,
            password_prompt=config.master_password_prompt,
            password=config.master_password,
            login_commands=config.master_login_commands,
        )
        master = bootloader.Startup(
            config=config,
            commands="boot_cmds_master",
            offer=offer,
            login=login,
            name="master_image",
        )
        return self._start(master, deadline)

    def _write(self, image: Path, disk: str, shell: Shell, deadline: Deadline) -> None:
        setup = self._setup
        owner = KeyOwner(ip=setup.dispatcher.lava_server_ip, key=JobKey(), job=setup.job)
        opened = open_to_ssh(shell, setup.config, owner, log=self._log, deadline=deadline)
        self._log.event("state", f"writing {image.name} to {disk}", state="writing the disk")
        access = opened.access
        with dial(
            access.address, access.key, deadline.sub("SSH to the master image", _DIAL_S)
        ) as link:
            written = write_disk(image, disk, link, deadline, self._tell_progress)
        self._log.event(
            "disk",
            f"{image.name} is on {disk}: {written.sent >> 20} MiB sent",
            sent=written.sent,
            zeroed=written.zeroed,
        )


def _disk(config: DeviceConfig) -> str:
    disk = config.master_testdisk
    if not disk and config.master_testdisk_id:
        disk = f"{_BY_ID}/{config.master_testdisk_id}"
    if not disk.startswith("/dev/"):
        raise ConfigurationError(
            f"device {config.hostname} has no disk for images",
            hint="set master_testdisk to its device in the master image, such as /dev/mmcblk0",
        )
    return disk
