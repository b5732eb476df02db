# SPDX-License-Identifier: MIT
"""The configuration's keys for a board: its console, its power, and the systems on it.

A class is a section of keys, and its docstring is the section's title.  A field is a key with its
type and its default, and the text below it is the key's description.  ``docs/reference.py`` makes
``device-defaults.conf`` and the reference of device keys from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lava_vmgroup.config import typed
from lava_vmgroup.config.typed import Count, Regex, Scale, Seconds, ShellWords


@dataclass(frozen=True, kw_only=True)
class IdentityKeys:
    """Name and driver."""

    hostname: str = ""
    """The device's name: always the name of its file."""
    device_type: str = ""
    """The name of a file in ``device-types/``. Every ``devices/<name>.conf`` sets it."""
    client_type: str = "master"
    """The driver: ``bootloader`` (serial console and U-Boot), ``master`` (the same, with a system
    that writes the board's own disk), ``vexpress``, ``booted`` (a board that somebody else has
    booted, by its console), or ``ssh`` (a host that is already up; the same as v1's ``dummy`` with
    ``dummy_driver = ssh``). VMs have ``qemu``."""


@dataclass(frozen=True, kw_only=True)
class SharingKeys:
    """Sharing with others, by a broker outside of this program"""

    labgrid_place: str = ""
    """The board's place in labgrid. The job acquires it, and the keys for the console and the power
    switch that are not set become commands of ``labgrid-client``."""
    labgrid_tags: str = ""
    """The tags of a place, such as ``board=imx8 memory=4g``, instead of its name. The job waits in
    labgrid's queue for a place that has them all."""
    labgrid_client: ShellWords = ("labgrid-client",)
    """The program that talks to labgrid, with options such as ``-x coordinator:20408``."""
    acquire_command: str = ""
    """Command that acquires the board for the job from another broker than labgrid, before anything
    touches it. It may wait until the board is free. If it fails, so does the job, with status 4."""
    acquire_timeout: Seconds = 3600.0
    """Time limit for ``acquire_command``, and for the wait in labgrid's queue."""
    release_command: str = ""
    """Command that releases the board after the job, however that ends. If the job is killed, the
    next job on this dispatcher releases the board before it acquires it."""


@dataclass(frozen=True, kw_only=True)
class ConsoleKeys:
    """Serial console and power."""

    connection_command: str = field(
        default="", metadata=typed.refers("conmux-console %(hostname)s")
    )
    """The command whose input and output are the serial console, such as ``telnet console-server
    7001``, or ``tcp://host:port``. ``connection_command_uart1``, or with any other name, is that of
    a further serial port, which is only recorded."""
    connection_command_pattern: Regex = r"Connected\.\r"
    """The text that ``connection_command`` prints once it is connected. After 10 seconds without
    this text, the connection counts as made, too."""
    connection_command_terminate: str = ""
    """Text that ends the connection when it is typed into it."""
    connection_timeout: Seconds = 60.0
    """Time limit for one attempt to connect."""
    pre_connect_command: str = ""
    """Command that runs once before the first connection."""
    reset_port_command: str = ""
    """Command that frees the console's port when it is in use, closed or refuses the connection."""
    hard_reset_command: str = ""
    """Command that switches the board off and on again. Without it, ``power_off_cmd`` and
    ``power_on_cmd`` run; without these, the running system is asked to restart."""
    power_on_cmd: str = ""
    """Command that switches the board on."""
    power_off_cmd: str = ""
    """Command that switches the board off."""
    soft_boot_cmd: str = "reboot"
    """Typed at the running system's prompt to restart it."""
    pre_power_cmd: str = ""
    """Command that runs before the board is reset."""
    pre_os_cmd: str = ""
    """Command that runs after the boot commands and before the wait for the kernel's output."""
    console_silence: Seconds = 0.0
    """Time for which the console may be silent while output is expected; then the node ends. 0 sets
    no limit. A job may set it, too, for all nodes."""
    timeout_scale: Scale = 1.0
    """The factor by which the hardware is slower than usual, for example because it is emulated. It
    stretches all limits of this program and of this configuration except
    ``host_heartbeat_timeout``, and no limit that a job sets."""
    send_char: bool = True
    """Type one character at a time, with the pauses of the three keys below: for consoles that lose
    characters."""
    bootloader_serial_delay_ms: Count = 0
    """Milliseconds between two characters typed to the boot loader."""
    test_shell_serial_delay_ms: Count = 0
    """Milliseconds between two characters typed to the tested system."""
    master_image_serial_delay_ms: Count = 0
    """Milliseconds between two characters typed to the master image."""


@dataclass(frozen=True, kw_only=True)
class MediumKeys:
    """The medium that the board boots from, if the dispatcher can reach it (an SD-mux)."""

    media_device: Path | None = None
    """The medium as the dispatcher sees it: a block device, or an emulated board's disk file."""
    media_attach_command: str = ""
    """Command that switches the medium over to the dispatcher."""
    media_detach_command: str = ""
    """Command that switches the medium over to the board."""


@dataclass(frozen=True, kw_only=True)
class MasterKeys:
    """The master image: a system that writes the tested image to the board's own disk."""

    master_str: str = "root@master"
    """The beginning of the master image's prompt."""
    master_kernel: str = ""
    """The master image's kernel, a path or a URL. ``boot_cmds_master`` boot it over the network."""
    master_ramdisk: str = ""
    """The master image's ramdisk, a path or a URL."""
    master_dtb: str = ""
    """The master image's device tree, a path or a URL."""
    master_nfsrootfs: str = ""
    """The archive of the master image's NFS root, a path or a URL."""
    master_testdisk: str = ""
    """The disk that the master image writes: its device there, such as ``/dev/mmcblk0``."""
    master_testdisk_id: str = ""
    """Instead of ``master_testdisk``: the disk's name in the master image's ``/dev/disk/by-id``."""
    master_login_prompt: Regex = ""
    """The login prompt of a master image that wants a login."""
    master_username: str = ""
    """The user to log in to the master image."""
    master_password_prompt: Regex = ""
    """The master image's question for the password."""
    master_password: str = field(default="", repr=False)
    """The password of this user."""
    master_login_commands: tuple[str, ...] = ()
    """Commands to type to the master image once logged in."""


@dataclass(frozen=True, kw_only=True)
class VexpressKeys:
    """Versatile Express firmware."""

    vexpress_complete_firmware: bool = False
    """Firmware that is one archive for the whole board: refused, as it cannot be installed."""
    vexpress_flash_range_low: str = "0x0FFC0000"
    """The start of UEFI's settings in the board's flash; each boot erases them."""
    vexpress_flash_range_high: str = "0x0FFEFFFF"
    """The end of UEFI's settings in the board's flash."""
    vexpress_stop_autoboot_prompt: Regex = r"Press Enter to stop auto boot\.\.\."
    """The message of the board's controller while it can be interrupted."""
    vexpress_usb_mass_storage_device: Path = Path("/dev/disk/by-label/VEMSD")
    """The board's USB storage as the dispatcher sees it."""
    vexpress_uefi_path: str = "SOFTWARE/TC2/uefi.bin"
    """The UEFI firmware's file on the USB storage."""
    vexpress_uefi_backup_path: str = "SOFTWARE/TC2/backup-uefi.bin"
    """The copy, on the USB storage, of the firmware from before the first job."""
    vexpress_uefi_default: str = ""
    """The firmware for jobs that bring none: a path or a URL."""
    vexpress_bl0_path: str = ""
    """The place on the USB storage of trusted firmware's ``bl0``, for jobs that bring it."""
    vexpress_bl1_path: str = ""
    """The place on the USB storage of trusted firmware's ``bl1``, for jobs that bring it."""
    vexpress_mount_command: str = field(
        default="mount /dev/disk/by-label/VEMSD {MOUNT_POINT}",
        metadata=typed.refers("mount %(vexpress_usb_mass_storage_device)s {MOUNT_POINT}"),
    )
    """Command that mounts the USB storage at ``{MOUNT_POINT}``, an empty folder. Usually only root
    may do this."""
    vexpress_umount_command: str = "umount {MOUNT_POINT}"
    """Command that unmounts the USB storage."""
