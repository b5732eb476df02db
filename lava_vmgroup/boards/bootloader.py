# SPDX-License-Identifier: MIT
"""Boards with a boot loader on their serial console: Arndale, and nearly every ARM board.

A boot opens the console, resets the board, interrupts the boot loader's countdown, carries out the
boot commands, and waits for the kernel and a shell.  If a step fails, the whole boot is tried
again; ``boot_retries`` is the number of all tries.  If the boot loader refuses a command, a second
try would end the same, so there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import (
    ConfigurationError,
    DeadlineExpired,
    InfrastructureError,
    JobError,
    VMGroupError,
)
from lava_vmgroup.boards import BoardSetup
from lava_vmgroup.config.commands import BootCommand, CommandKind, names_root
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.connections.process import run_configured
from lava_vmgroup.console.console import Console
from lava_vmgroup.console.loader import BootLoader, LoaderFailed
from lava_vmgroup.console.login import Login, login_of, reach_shell
from lava_vmgroup.console.port import Port, check_console
from lava_vmgroup.console.shell import Shell
from lava_vmgroup.deploy import media, tftp
from lava_vmgroup.deploy.tftp import KernelFiles, Served

if TYPE_CHECKING:
    from lava_vmgroup.connections.ssh_access import Access

_POWER_S = 120.0
_COMMAND_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """The system that a reset of the board has to start."""

    config: DeviceConfig
    commands: str
    """The configuration's key with the boot commands."""
    offer: Served
    login: Login
    name: str = "test_shell"
    """Prefix of the configuration's key for the system's typing delay."""


class Driver:
    """A driver of one board; see `lava_vmgroup.boards.Board`."""

    deploys = True
    is_shared = False

    def __init__(self, setup: BoardSetup) -> None:
        self._setup = setup
        self._config = setup.config
        self._log = setup.log
        self._port = Port(setup.recorder, setup.watch, setup.log)
        self._offers = ExitStack()
        self._offer = Served()
        self._commands = "boot_cmds"

    def configure(self, config: DeviceConfig) -> None:
        """See `Board.configure`."""
        self._config = config

    def deploy_image(self, image: Path, deadline: Deadline) -> None:
        """Write the image to the boot medium while the board is off."""
        medium = self._config.media_device
        if medium is None:
            raise ConfigurationError(
                f"device {self._config.hostname} has no boot medium to write an image to",
                hint="set media_device, or use deploy_linaro_kernel",
            )
        check_console(self._config)
        self.power_off(deadline)
        with self._medium_attached(deadline):
            self._log.event(
                "state", f"writing {image.name} to {medium}", state="writing the medium"
            )
            media.write_image(image, medium, deadline, self._tell_progress)
        self._offers.close()
        self._commands, self._offer = "boot_cmds", Served()

    def deploy_kernel(self, files: KernelFiles, deadline: Deadline) -> None:
        """Offer the files on the dispatcher's TFTP server, and an NFS root beside them."""
        self._take_firmware(files)
        self._offer_files(files, deadline)
        has_own = files.ramdisk or (self._config.boot_cmds_ramdisk and not self._config.boot_cmds)
        self._commands = "boot_cmds_ramdisk" if has_own else "boot_cmds"
        if files.nfsrootfs:
            self._commands = "boot_cmds_nfs"

    def boot(self, deadline: Deadline) -> Shell:
        """Reset the board, talk to its boot loader, log in, and return the shell."""
        config = self._config
        system = Startup(
            config=config, commands=self._commands, offer=self._offer, login=login_of(config)
        )
        return self._start(system, deadline)

    @property
    def access(self) -> Access | None:
        """None, as a deployed system accepts no key yet; see `Board.access`."""
        return None

    def power_off(self, deadline: Deadline) -> None:
        """Run ``power_off_cmd``, if there is one."""
        self._configured("power_off_cmd", deadline)

    def close(self) -> None:
        """Close the console and remove the offered files."""
        self._port.disconnect(self._farewell)
        self._port.close()
        self._offers.close()

    @contextmanager
    def _medium_attached(self, deadline: Deadline) -> Iterator[None]:
        """Switch the boot medium to the dispatcher within the block, and back even after an error.

        After an error, switching back has a time limit of its own, and its own error is dropped.
        """
        self._configured("media_attach_command", deadline)
        try:
            yield
        except BaseException:
            with suppress(VMGroupError):
                self._configured(
                    "media_detach_command", Deadline.after("media_detach_command", _POWER_S)
                )
            raise
        self._configured("media_detach_command", deadline)

    def _start(self, system: Startup, deadline: Deadline) -> Shell:
        """Start a system and return its shell, with ``boot_retries`` tries."""
        tries = system.config.boot_retries
        for attempt in range(1, tries + 1):
            try:
                return self._start_once(system, deadline)
            except (DeadlineExpired, InfrastructureError) as error:
                if attempt == tries or deadline.is_over or isinstance(error, LoaderFailed):
                    raise
                self._log.warning(
                    "boot-retry", f"boot attempt {attempt} of {tries} failed: {error.message}"
                )
                self._port.disconnect(self._farewell)
        raise AssertionError("boot_retries is at least 1")

    def _start_once(self, system: Startup, deadline: Deadline) -> Shell:
        config = system.config
        commands = self._boot_commands(system)
        console = self._connect(deadline)
        self._log.event("state", "booting", state="booting")
        console.typing_delay_s = config.typing_delay_s("bootloader")
        self._configured("pre_power_cmd", deadline)
        self._reset(console, deadline)
        self._after_reset(console, deadline)
        loader = BootLoader(console, config)
        if commands:
            loader.interrupt(deadline)
            what = "autoboot interrupted" if config.needs_interrupt else "at its prompt"
            self._log.event("bootloader", what)
        if self._setup.watch is not None:
            self._setup.watch.expect_boot(ramdisk_is_system=_is_ramdisk(system, commands))
        self._talk(loader, commands, system.offer, deadline)
        self._configured("pre_os_cmd", deadline)
        self._watch_kernel(loader, console, config, deadline)
        console.typing_delay_s = config.typing_delay_s(system.name)
        limit = deadline.sub("the login or shell prompt", config.boot_linaro_timeout)
        watch = self._setup.watch
        reach_shell(console, system.login, limit, silence_s=watch.silence_s if watch else 0.0)
        return Shell.prepare(console, limit)

    def _take_firmware(self, files: KernelFiles) -> None:
        """Raise a `JobError` for firmware files that only other boards take."""
        unwanted = [name for name in ("bl0", "bl1", "bl2", "bl31") if getattr(files, name)]
        if unwanted:
            raise JobError(
                f"device {self._config.hostname} takes no {', '.join(unwanted)}",
                hint="only the firmware of a Versatile Express (client_type vexpress) has parts",
            )

    def _offer_files(self, files: KernelFiles, deadline: Deadline) -> None:
        deadline.check()
        self._offers.close()
        self._offer = self._offers.enter_context(self._offered(files, deadline))

    def _offered(self, files: KernelFiles, deadline: Deadline) -> AbstractContextManager[Served]:
        setup = self._setup
        root = setup.dispatcher.lava_image_tmpdir
        return tftp.offered(files, setup.config, root, setup.job, deadline)

    def _reset(self, console: Console, deadline: Deadline) -> None:
        """Power-cycle the board; if the lab cannot, type ``soft_boot_cmd`` on its console."""
        config = self._config
        if config.hard_reset_command:
            self._configured("hard_reset_command", deadline)
        elif config.power_off_cmd and config.power_on_cmd:
            self._configured("power_off_cmd", deadline)
            self._configured("power_on_cmd", deadline)
        elif config.soft_boot_cmd:
            self._log.warning("reset", f"no hard_reset_command: typing {config.soft_boot_cmd!r}")
            console.send_line("", deadline)
            console.send_line(config.soft_boot_cmd, deadline)
        else:
            raise ConfigurationError(
                f"device {config.hostname} has no hard_reset_command",
                hint="set it to the command that power-cycles the board",
            )

    def _after_reset(self, console: Console, deadline: Deadline) -> None:
        """Do nothing; for drivers of boards with steps before the boot loader's countdown."""

    def _talk(
        self, loader: BootLoader, commands: Sequence[BootCommand], offer: Served, deadline: Deadline
    ) -> None:
        """Carry out the boot commands."""
        loader.talk(commands, offer.files, deadline)

    def _boot_commands(self, system: Startup) -> tuple[BootCommand, ...]:
        config = system.config
        commands = config.boot_commands(system.commands)
        if not commands and config.minimal_boot and not system.offer.kernel:
            return ()
        if not commands:
            raise ConfigurationError(
                f"device {config.hostname} has no {system.commands}",
                hint="set them to what makes its boot loader start Linux",
            )
        if config.pre_boot_cmd:
            commands = (
                BootCommand(kind=CommandKind.AT_PROMPT, text=config.pre_boot_cmd),
                *commands,
            )
        tags = {**config.boot_tags, "SERVER_IP": self._setup.dispatcher.lava_server_ip}
        return system.offer.filled_in(commands, config, tags)

    def _watch_kernel(
        self, loader: BootLoader, console: Console, config: DeviceConfig, deadline: Deadline
    ) -> None:
        loader.await_kernel(
            deadline.sub("the kernel's first message", config.image_boot_msg_timeout)
        )
        self._log.event("kernel", "the kernel is running")
        if config.has_kernel_messages and config.kernel_boot_msg:
            limit = deadline.sub("the end of the kernel's boot", config.kernel_boot_msg_timeout)
            console.expect([config.kernel_boot_msg], limit)

    def _connect(self, deadline: Deadline) -> Console:
        return self._port.open(self._config, self._configured, deadline)

    @property
    def _farewell(self) -> str:
        """The text to type before the console is closed."""
        return self._config.connection_command_terminate

    def _configured(self, key: str, deadline: Deadline) -> None:
        """Run the lab's command of this key, if there is one; try again if it fails.

        Raises the last try's `InfrastructureError`.
        """
        command: str = getattr(self._config, key)
        tries = self._setup.dispatcher.host_command_retries if command else 0
        for attempt in range(1, tries + 1):
            try:
                limit = deadline.sub(key, _POWER_S)
                run_configured(command, key, limit, self._config.environment)
                return
            except InfrastructureError as error:
                if attempt == tries:
                    raise
                self._log.warning("command", f"trying again: {error.message}")
                deadline.pause(_COMMAND_PAUSE_S)

    def _tell_progress(self, done: int, total: int) -> None:
        self._log.debug("progress", f"{done}/{total}", what="disk", done=done, total=total)


def _is_ramdisk(system: Startup, commands: Sequence[BootCommand]) -> bool:
    """Return True if the system has no root file system beside the job's kernel and ramdisk.

    The ramdisk may be part of the kernel's file.
    """
    text = " ".join(command.text for command in commands)
    offer = system.offer
    return bool(offer.kernel) and not offer.nfsrootfs and not names_root(text)
