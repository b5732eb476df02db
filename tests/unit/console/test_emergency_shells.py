# SPDX-License-Identifier: MIT
"""Emergency shells are known by their words and prompts, while a system boots."""

import pytest

from lava_vmgroup.base.console_faults import FaultSeverity
from tests.unit.console.watched import Seen, booting

RAMDISKS = [
    "ALERT!  UUID=7a04 does not exist.  Dropping to a shell!",
    "ALERT! /dev/mmcblk1p9 does not exist. Dropping to a shell!",
    "Gave up waiting for root file system device.  Common problems:",
    "No init found. Try passing init= bootarg.",
    "The root filesystem on /dev/sda1 requires a manual fsck",
    "initramfs emergency recovery shell launched. Type 'exit' to continue boot",
    'Generating "/run/initramfs/rdsosreport.txt"',
    "dracut: FATAL: No or empty root= argument",
    "An error occurred in stage 1 of the boot process, which must mount the",
    "You are now being dropped into an emergency shell.",
    "switch_root: failed to mount moving /sysroot to /: Invalid argument",
    "switch_root: failed. Sorry.",
    "switch_root: can't execute '/sbin/init': No such file or directory",
    "Failed to switch root: Specified switch root path '/sysroot' does not seem to be an OS tree.",
]


RAMDISK_PROMPTS = [
    "(initramfs) ",
    "dracut:/# ",
    "pre-mount:/# ",
    ":/# ",
    ":/root# ",
    "[rootfs ]# ",
    "rescueshell / # ",
    "\x1b[1;31m(initramfs) \x1b[0m",
]


EMERGENCIES = [
    'You are in emergency mode. After logging in, type "journalctl -xb" to view',
    'You are in rescue mode. After logging in, type "journalctl -xb" to view',
    "Entering emergency mode. Exit the shell to continue.",
    "[  OK  ] Reached target emergency.target - Emergency Mode.",
    "[  OK  ] Reached target Emergency Mode.",
    "Cannot open access to console, the root account is locked.",
    "- failsafe -",
]


EMERGENCY_PROMPTS = [
    "Give root password for maintenance",
    "Press Enter for maintenance(or press Control-D to continue): ",
    "Give root password for maintenance (or type Control-D to continue): ",
]


BOOTS = """\
U-Boot 2023.01 (Feb 22 2023)
Loading, please wait...
Gave up waiting for suspend/resume device
Target filesystem doesn't have requested /missing/init.
run-init: can't execute '/missing/init': No such file or directory
switch_root: failed to mount moving /dev to /sysroot/dev: Invalid argument
Begin: Mounting root file system ... Begin: Running /scripts/local-top ... done.
Press the [f] key and hit [enter] to enter failsafe mode
[   10.1] systemd[1]: emergency.service - Emergency Shell was skipped because of a condition check
[  OK  ] Mounted sys-kernel-config.mount - Kernel Configuration File System.
can't access tty; job control turned off
Welcome to Debian GNU/Linux 12 (bookworm)!
"""


@pytest.mark.parametrize("line", [*RAMDISKS, *EMERGENCIES, *EMERGENCY_PROMPTS])
def test_boot_that_ends_in_an_emergency_shell_has_no_root_for_certain(line: str) -> None:
    seen = booting()

    assert seen.names(f"\x1b[0;1;39m{line}") == ["no-root"]
    assert seen.told[0].fault.severity is FaultSeverity.FATAL
    assert seen.told[0].fault.hint


@pytest.mark.parametrize("prompt", [*RAMDISK_PROMPTS, *EMERGENCY_PROMPTS])
def test_prompt_of_an_emergency_shell_counts_though_its_line_never_ends(prompt: str) -> None:
    seen = booting()

    seen.watch.feed(f"busybox\r\n{prompt[:1]}".encode())
    seen.watch.feed(prompt[1:].encode())
    seen.watch.settle()

    assert [one.fault.name for one in seen.told] == ["no-root"]


@pytest.mark.parametrize("line", [*RAMDISKS, *RAMDISK_PROMPTS])
def test_ramdisk_that_is_the_system_may_say_that_it_finds_no_root(line: str) -> None:
    seen = booting(ramdisk=True)

    assert seen.names(line) == ["no-root"]
    assert seen.told[0].fault.severity is FaultSeverity.NOTE
    assert booting(ramdisk=True).names("You are in emergency mode. After") == ["no-root"]


@pytest.mark.parametrize(
    "failure",
    [
        "mount: mounting /dev/mmcblk0p9 on /mnt failed: No such file or directory",
        "Failed to mount the root file system",
        "Mounting root failed.",
    ],
)
@pytest.mark.parametrize("shell", ["sh: can't access tty; job control turned off\n/ # ", "/ # "])
def test_shell_of_a_ramdisk_that_could_not_mount_is_an_emergency(failure: str, shell: str) -> None:
    harmless, seen = booting(), booting()

    harmless.watch.feed(f"starting\n{shell}".encode())
    harmless.watch.settle()
    seen.watch.feed(f"{failure}\n\n{shell}".encode())
    seen.watch.settle()

    assert [one.fault.name for one in (*harmless.told, *seen.told)] == ["no-root"]


def test_boot_that_goes_well_shows_no_emergency() -> None:
    assert booting().names(*BOOTS.splitlines()) == []


@pytest.mark.parametrize("line", [*RAMDISKS, *RAMDISK_PROMPTS, *EMERGENCIES])
def test_words_of_emergency_shells_are_a_tests_own_once_the_system_is_up(line: str) -> None:
    assert Seen().names(line) == []


def test_end_of_an_earlier_boot_on_the_console_is_not_this_boots() -> None:
    seen = Seen()
    seen.watch.expect_reset()

    seen.watch.feed(b"Gave up waiting for root file system device\r\n(initramfs) ")
    seen.watch.expect_boot(ramdisk_is_system=False)
    seen.watch.feed(b"\r\nLinux version 6.1\r\n")
    seen.watch.settle()

    assert seen.told == []
