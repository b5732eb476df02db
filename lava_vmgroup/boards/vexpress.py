# SPDX-License-Identifier: MIT
"""Versatile Express: a board whose own controller starts UEFI, which has a menu on the console.

The controller and UEFI use the same serial console.  At each reset the driver stops the controller,
changes the firmware on the board's USB storage, and lets the board start.  Boot commands then step
through UEFI's menu, like a dialogue with any other boot loader.
"""

from __future__ import annotations

import filecmp
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError, JobError
from lava_vmgroup.boards import BoardSetup, bootloader
from lava_vmgroup.config.commands import BootCommand, CommandKind
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import run_configured
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.loader import BootLoader
from lava_vmgroup.deploy.lab_files import LabFiles
from lava_vmgroup.deploy.tftp import KernelFiles, Served

_CONTROLLER_S = 120.0
_CONTROLLER_PROMPT = r"(?:Cmd|Flash)>"
_MOUNT_S = 60.0
_APPEARS_S = 10.0
_POLL_S = 0.5
_UMOUNT_TRIES = 5


def check(config: DeviceConfig) -> None:
    """Raise a `ConfigurationError` for a device that this driver cannot serve."""
    if config.vexpress_complete_firmware:
        raise ConfigurationError(
            f"device {config.hostname or config.device_type}: vexpress_complete_firmware is set, "
            "but firmware that is one archive for the whole board cannot be put on it",
            hint="put the firmware on the board's storage by hand and set "
            "vexpress_complete_firmware = no",
        )


class Driver(bootloader.Driver):
    """A driver of one board; see `lava_vmgroup.boards.Board`."""

    def __init__(self, setup: BoardSetup) -> None:
        super().__init__(setup)
        self._firmware: Mapping[str, Path] = {}

    def deploy_image(self, image: Path, deadline: Deadline) -> None:
        """See `Board.deploy_image`; the next reset brings back the lab's or the first firmware."""
        super().deploy_image(image, deadline)
        self._firmware = {}

    def _take_firmware(self, files: KernelFiles) -> None:
        """Keep the job's firmware, which the next reset puts on the board.

        Raises `JobError` for a file that has no place on this board.
        """
        config = self._config
        places = {
            "bootloader": config.vexpress_uefi_path,
            "bl0": config.vexpress_bl0_path,
            "bl1": config.vexpress_bl1_path,
            "bl2": "",
            "bl31": "",
        }
        given = {name: path for name in places if (path := getattr(files, name)) is not None}
        for name in given:
            if not places[name]:
                raise JobError(
                    f"device {config.hostname} has no place for {name}",
                    hint="bl0 and bl1 need vexpress_bl0_path and vexpress_bl1_path of the device",
                )
        self._firmware = {places[name]: path for name, path in given.items()}

    def _after_reset(self, console: Console, deadline: Deadline) -> None:
        """Stop the board's controller, change the firmware, and let the board start."""
        config = self._config
        limit = deadline.sub("the board's controller", _CONTROLLER_S)
        console.expect([config.vexpress_stop_autoboot_prompt], limit)
        self._tell(console, "", deadline)
        with _mount_point() as folder:
            self._mount(console, folder, deadline)
            try:
                self._update(folder, deadline)
            finally:
                self._umount(folder, deadline)
        self._tell(console, "USB_OFF", deadline)
        self._tell(console, "flash", deadline)
        # UEFI keeps its menu there; once it is erased, each boot begins with the same menu.
        settings = f"{config.vexpress_flash_range_low} {config.vexpress_flash_range_high}"
        self._tell(console, f"eraserange {settings}", deadline)
        self._tell(console, "exit", deadline)
        console.send_line("reboot", limit)

    def _talk(
        self,
        loader: BootLoader,
        commands: Sequence[BootCommand],
        offer: Served,
        deadline: Deadline,
    ) -> None:
        """Wait for the menu before the first command, if that does not wait itself."""
        if commands and commands[0].kind in (CommandKind.SEND_LINE, CommandKind.SEND_CONTROL):
            loader.await_prompt(deadline.sub("the firmware's menu", self._config.boot_cmd_timeout))
        super()._talk(loader, commands, offer, deadline)

    def _tell(self, console: Console, command: str, deadline: Deadline) -> None:
        """Type a command for the controller, and wait for its prompt."""
        limit = deadline.sub(f"the board's controller, after {command!r}", _CONTROLLER_S)
        console.send_line(command, limit)
        console.expect([_CONTROLLER_PROMPT], limit)

    def _mount(self, console: Console, folder: Path, deadline: Deadline) -> None:
        """Switch the board's USB storage on and mount it; if it does not appear, try once more."""
        for first_try in (True, False):
            self._tell(console, "USB_ON", deadline)
            appears = Deadline.after("the board's USB storage", _APPEARS_S)
            while True:
                try:
                    self._run("vexpress_mount_command", folder, deadline)
                    return
                except InfrastructureError:
                    if appears.remaining_s > _POLL_S:
                        deadline.pause(_POLL_S)
                        continue
                    if not first_try:
                        raise
                    break
            self._tell(console, "USB_OFF", deadline)

    def _umount(self, folder: Path, deadline: Deadline) -> None:
        for attempt in range(1, _UMOUNT_TRIES + 1):
            try:
                self._run("vexpress_umount_command", folder, deadline)
                return
            except InfrastructureError:
                if attempt == _UMOUNT_TRIES:
                    raise
                deadline.pause(_POLL_S)

    def _run(self, key: str, folder: Path, deadline: Deadline) -> None:
        command: str = getattr(self._config, key)
        command = command.replace("{MOUNT_POINT}", shlex.quote(str(folder)))
        run_configured(command, key, deadline.sub(key, _MOUNT_S), self._config.environment)

    def _update(self, storage: Path, deadline: Deadline) -> None:
        """Put the firmware on the storage: the job's, else the lab's, else the first one's backup.

        The first firmware is backed up before a job's firmware replaces it.
        """
        config = self._config
        uefi, backup = (
            storage / config.vexpress_uefi_path,
            storage / config.vexpress_uefi_backup_path,
        )
        firmware = dict(self._firmware)
        if config.vexpress_uefi_path not in firmware:
            labs = LabFiles(config=config, files=self._setup.files, log=self._log)
            default = labs.fetch("vexpress_uefi_default", deadline)
            _replace(uefi, default or (backup if backup.exists() else None))
        elif uefi.exists() and not backup.exists():
            _replace(backup, uefi)
        for place, source in firmware.items():
            self._log.event("firmware", f"{source.name} becomes the board's {place}")
            _replace(storage / place, source)


@contextmanager
def _mount_point() -> Iterator[Path]:
    """Yield a new folder, and remove it only if it is empty, so never with the board's files."""
    folder = Path(tempfile.mkdtemp(prefix="lava-vmgroup-vexpress-"))
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()


def _replace(target: Path, source: Path | None) -> None:
    """Copy `source`, if any, over `target` if they differ; needless writes wear flash memory."""
    if source is None or (target.exists() and filecmp.cmp(source, target, shallow=False)):
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {target} on the board's USB storage: {error.strerror}",
            hint="check the vexpress_ keys of the device",
        ) from error
