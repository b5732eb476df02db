# SPDX-License-Identifier: MIT
"""The configuration's keys for a boot: the boot loader, the files that it loads, and the system.

They are written as in `lava_vmgroup.config.board_keys`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from lava_vmgroup.config import typed
from lava_vmgroup.config.typed import Positive, Regex, Seconds, Sections

KNOWN_PROMPTS = (
    # The comments show prompts that fit: root@host:~# and root@host ~# and root@host#
    r"(\([^()]{1,40}\) ?)?root@[\w().-]{1,64}([: ] ?[^#\[\]]{1,200})? ?#",
    r"(\([^()]{1,40}\) ?)?\[(root@)?[\w().-]{1,64}[: ][^#\[\]]{1,200}\] ?#",  # [root@host ~]#
    r"[\w.-]{1,64}[: ] ?[~/][^\s#]{0,200} ?#",  # host:~ #
    r"([~/][^\s#]{0,200} ?)?#",  # / # and # alone
    r"[A-Za-z][\w.-]{0,63} ?#",  # host# and sh-5.2#
    r"[\w-]{1,40} \[rc=\d{0,3}\]#",
    r"└─#",
)
"""Patterns of a root shell's prompt on nearly every system; each fits a whole line."""


_ADDRESS = re.compile(r"(0[xX])?[0-9a-fA-F]+|\$\{?\w+\}?|-")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAddresses:
    """The addresses to which U-Boot loads files, in U-Boot's notation.

    An address is hexadecimal, or one of U-Boot's variables, such as ``${loadaddr}``; ``-`` is none.
    Raises ValueError for any other text.
    """

    kernel: str
    ramdisk: str
    dtb: str
    dtbo: str = "-"

    def __post_init__(self) -> None:
        for address in (self.kernel, self.ramdisk, self.dtb, self.dtbo):
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"hexadecimal addresses or variables, not {address!r}")


@dataclass(frozen=True, kw_only=True)
class BootLoaderKeys:
    """Boot loader."""

    bootloader_prompt: Regex = "#"
    """The boot loader's prompt, at the beginning or at the end of the line where it waits."""
    interrupt_boot_prompt: Regex = (
        r"(?i)(stop|abort|cancel|interrupt) (the )?auto-?boot|autoboot in \d"
    )
    """The boot loader's message while it can be interrupted."""
    interrupt_boot_command: str = "b"
    """The text that interrupts the boot loader, sent without a line end; ``" "`` is a blank. By
    default, it is the key that the boot loader's message names, if any."""
    interrupt_boot_newline: bool = False
    """Send a line end after ``interrupt_boot_command``."""
    interrupt_boot_control_character: str = ""
    """The letter of a control character to send instead of ``interrupt_boot_command``; several
    letters for several."""
    needs_interrupt: bool = True
    """The boot loader comes to its prompt only if it is interrupted. With ``no``, it does so by
    itself."""
    bootloader_timeout: Seconds = 120.0
    """Time limit for the boot loader to come to the message of ``interrupt_boot_prompt``."""
    boot_cmd_timeout: Seconds = 10.0
    """Time limit for the boot loader to come to its prompt for one command."""
    pre_boot_cmd: str = ""
    """A command for the boot loader, typed before the boot commands."""
    boot_cmds: str = field(default="", metadata=typed.LATE)
    """The boot commands for an image, separated by commas. Quotes protect commas and are removed,
    so quotes meant for U-Boot are written inside other quotes. A command is sent once the prompt
    has come; ``sendline TEXT``, ``sendcontrol LETTER`` and ``expect TEXT`` are a dialogue without
    prompts. The dispatcher fills in ``{SERVER_IP}``, ``{KERNEL}``, ``{RAMDISK}``, ``{DTB}``,
    ``{BOOTLOADER}``, ``{NFSROOTFS}``, ``{KERNEL_ADDR}``, ``{RAMDISK_ADDR}``, ``{INITRD_ADDR}``
    (the same, or ``-`` without a ramdisk), ``{DTB_ADDR}``, ``{BOOTCOMMAND}`` (``bootm``, ``bootz``
    or ``booti``) and ``{BOOTX}``; a command with the tag of a file that the job does not have is
    left out. ``{APPLY_DTBO_COMMANDS}`` stands for ``apply_dtbo_cmds``, once for each overlay;
    ``{DTB_BASE_ADDR}``, ``{DTB_BASE_RESIZE}`` and ``{DTBO_ADDR}`` are there for a job that has any.
    In a VM's device type, this key and the next ones are the kernel's command line, commas and all:
    see ``kvm-arm.conf``."""
    boot_cmds_oe: str = field(default="", metadata=typed.LATE)
    """The boot commands for an OpenEmbedded image."""
    boot_cmds_ramdisk: str = field(default="", metadata=typed.LATE)
    """The boot commands for a kernel with a ramdisk; if there are no ``boot_cmds``, for one without
    a ramdisk, too."""
    boot_cmds_nfs: str = field(default="", metadata=typed.LATE)
    """The boot commands for a kernel with an NFS root."""
    boot_cmds_master: str = field(default="", metadata=typed.LATE)
    """The boot commands for the master image."""
    minimal_boot: bool = False
    """Without boot commands for a boot, leave the boot loader alone: it starts a system by itself,
    as with LAVA v2's boot method ``minimal``."""
    boot_options: Sections = field(default_factory=typed.nothing)
    """Names that a job may set with the options of its boot action. Each has a section with its
    ``default`` and, if the values are limited, the ``allowed`` ones (a list, or separated by
    commas). The option ``boot_cmds`` names the key with the commands to type; any other is a tag in
    the boot commands, in upper case."""
    boot_retries: Positive = 3
    """The number of tries for a boot."""
    boot_part: Positive = 1
    """The partition of an image that the boot loader reads, counted from 1."""
    root_part: Positive = 2
    """The partition of an image with the root file system, counted from 1."""
    root_device: str = field(default="/dev/vda2", metadata=typed.refers("/dev/vda%(root_part)s"))
    """A VM's root file system as its kernel sees it."""


@dataclass(frozen=True, kw_only=True)
class KernelKeys:
    """Loading a kernel over the network."""

    u_load_addrs: LoadAddresses | None = None
    """The load addresses for a kernel that is a uImage, one a line: hexadecimal, or variables of
    U-Boot's such as ``${loadaddr}``. A fourth one is that of overlays of the device tree."""
    z_load_addrs: LoadAddresses | None = None
    """The load addresses for another kernel, such as a zImage, one a line."""
    i_load_addrs: LoadAddresses | None = None
    """The load addresses for a kernel that U-Boot's ``booti`` starts, one a line; without them,
    ``z_load_addrs``."""
    uimage_only: bool = False
    """The boot loader boots only a uImage, so other kernels are made one."""
    uimage_arch: str = "arm"
    """The architecture of a kernel that is made a uImage."""
    uimage_xip: bool = False
    """A kernel that is made a uImage runs where it is loaded."""
    multi_image_only: bool = False
    """Kernel and ramdisk are made one image."""
    dtb_base_resize: str = ""
    """The room for a device tree with overlays, as U-Boot's ``fdt resize`` takes it."""
    apply_dtbo_cmds: str = '"tftp {DTBO_ADDR} {DTBO}", "fdt apply {DTBO_ADDR}"'
    """The boot commands for one overlay of the device tree."""
    text_offset: str = ""
    """The load address of a kernel that is made a uImage: hexadecimal. Without it, the kernel's
    address in ``u_load_addrs``."""
    append_dtb: bool = False
    """Append the device tree to the kernel."""
    ramdisk_raw: bool = False
    """A ramdisk without U-Boot's header stays as it is; otherwise it gets this header."""
    prepend_blob: str = ""
    """A file on the dispatcher to put in front of the kernel."""
    use_lava_tmpdir: bool = True
    """The TFTP server serves ``LAVA_IMAGE_TMPDIR``; otherwise ``alternative_dir``."""
    alternative_dir: Path | None = None
    """The folder that the TFTP server serves instead of ``LAVA_IMAGE_TMPDIR``."""
    alternative_create_tmpdir: bool = True
    """Put the files into a folder of the job's own in ``alternative_dir``; otherwise directly into
    ``alternative_dir``."""


@dataclass(frozen=True, kw_only=True)
class SystemKeys:
    """The system that boots."""

    image_boot_msg: Regex = "Linux version"
    """The kernel's first message."""
    image_boot_msg_timeout: Seconds = 120.0
    """Time limit for the kernel's first message."""
    kernel_boot_msg: Regex = (
        r"Freeing unused kernel (memory|image)|Freeing init memory"  # the words changed over time
    )
    """The kernel's last message before it starts init."""
    kernel_boot_msg_timeout: Seconds = 120.0
    """Time limit for the kernel's last message before it starts init."""
    has_kernel_messages: bool = True
    """Wait for the kernel's last message before it starts init."""
    boot_linaro_timeout: Seconds = 300.0
    """Time limit for the login prompt or the shell."""
    extended_boot_timeout: Seconds = 3600.0
    """Time limit for the login prompt or the shell at a first boot that does more."""
    test_image_prompts: tuple[Regex, ...] = KNOWN_PROMPTS
    """The shell prompts that a booted system may show. They are looked for anywhere in the
    console's text, except those of this default: they must fit all of the line where the console
    waits, once it has been quiet for a second."""
    login_prompt: Regex = ""
    """The login prompt of a system that wants a login."""
    username: str = ""
    """The user to log in."""
    password_prompt: Regex = ""
    """The system's question for the password."""
    password: str = field(default="", repr=False)
    """The password of this user."""
    login_commands: tuple[str, ...] = ()
    """Commands to type once logged in."""
