# SPDX-License-Identifier: MIT
"""Patterns for the messages of kernels, firmware and QEMU about a fault.

`lava_vmgroup.console.watch` tries them on the console: the kernel's patterns where a kernel
message begins, the others as `FaultPlace` says.  They cannot take long on any line: the line's
length is limited, and so are the patterns' repetitions.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class FaultSeverity(enum.Enum):
    """The effect of a fault on the job."""

    FATAL = "fatal"
    """The fault ends the node."""
    ERROR = "error"
    """The fault fails a test case; the job goes on."""
    NOTE = "note"
    """The fault is logged and kept in the results."""

    @property
    def rank(self) -> int:
        """A number that is greater for a worse fault."""
        return (FaultSeverity.NOTE, FaultSeverity.ERROR, FaultSeverity.FATAL).index(self)


class FaultPlace(enum.Enum):
    """The place in a line at which a pattern is tried."""

    MESSAGE = enum.auto()
    """The beginning of a kernel message."""
    START = enum.auto()
    """The beginning of the line."""
    BOOT = enum.auto()
    """Anywhere in the line, but only while a system boots: no test writes to the console then."""
    ANYWHERE = enum.auto()
    """Anywhere in the line, at any time: for the job's own patterns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault, with the pattern that finds it in a line."""

    name: str
    severity: FaultSeverity
    pattern: str
    bare: str = ""
    """The stricter pattern for messages without a time stamp, which may be a test's output."""
    place: FaultPlace = FaultPlace.MESSAGE
    when_up: bool = False
    """True if the message is a fault only after the system has booted, as for a reset."""
    after: str = ""
    """A pattern that one of the lines before must fit, for a message that may also be harmless."""
    of_ramdisk: bool = False
    """True for the message of a ramdisk that finds no root file system."""
    hint: str = ""
    """Advice to the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFault:
    """A fault that a node's console has shown."""

    name: str
    severity: FaultSeverity
    line: str
    """The line with the fault, from the beginning of its message."""
    lines: tuple[str, ...]
    """Some lines before it, the line itself, and the lines right after it, such as a call trace."""
    test_case: str | None
    """The test case that was running, or None."""
    seen_at: datetime
    """The time, in UTC."""


def _kernel(name: str, severity: FaultSeverity, *patterns: str, bare: str = "") -> Fault:
    return Fault(name=name, severity=severity, pattern="|".join(patterns), bare=bare)


_FATAL, _ERROR, _NOTE = FaultSeverity.FATAL, FaultSeverity.ERROR, FaultSeverity.NOTE

_ROOT_HINT = "check root= of the kernel's command line, and that image and kernel fit the board"
_EMERGENCY_HINT = (
    "the system is in its emergency shell, so not booted: see the lines before it, and the image's "
    "fstab"
)

_RAMDISK = (
    # initramfs-tools
    r"ALERT!  ?\S{1,200} does not exist",
    r"Gave up waiting for root\b",
    r"No init found\. Try passing init= bootarg",
    r"No root device specified\. Boot arguments must include",
    r"The \S{1,40} filesystem on \S{1,200} requires a manual fsck",
    r"^\(initramfs\) ?$",
    # Alpine, dracut, mkinitcpio, genkernel, NixOS, Yocto and others
    r"initramfs emergency recovery shell",
    r"/run/initramfs/rdsosreport\.txt",
    r"^(?:dracut|cmdline|pre-\w{1,20}|initqueue|switch_root|emergency):[^\s#]{1,200}# ?$",
    r"dracut: (?:FATAL|Refusing to continue)",
    r"^:/[^\s#]{0,200}# ?$",
    r"^\[rootfs [^\]]{0,80}\]# ?$",
    r"^rescueshell [^\s#]{1,200} # ?$",
    r"An error occurred in stage [12] of the boot process",
    r"^mountroot> ?$",
    r"(?i:dropping (?:you )?(?:in)?to (?:a |an )?(?:\w{1,20} ){0,3}shell)",
    r"(?i:dropped into (?:a |an )(?:\w{1,20} ){0,3}shell)",
    # switch_root unmounts a file system that it cannot move.  initramfs-tools tries one init after
    # the other.
    r"switch_root: (?!failed to mount moving /(?:dev|proc|sys|run)\b)"
    r"(?:failed|can't|cannot|bad|not )",
    r"Failed to switch root: ",
)
_NOT_MOUNTED = (
    r"(?i:(?:failed to|could not|cannot|can't|unable to) mount\b(?! moving)"
    r"|mount(?:ing|:) .{1,200}failed)"
)
_SHELL_OF_RAMDISK = r"can't access tty; job control turned off|^[/~] # ?$"
_EMERGENCY = (
    # systemd, sysvinit, OpenWrt
    r"You are in (?:emergency|rescue) mode",
    r"Welcome to (?:emergency|rescue) mode",
    r"^Entering emergency mode\.",
    r"Give root password for (?:system )?maintenance",
    r"Press Enter for (?:system )?maintenance",
    r"Cannot open access to console, the root account is locked",
    r"Reached target (?:(?:emergency|rescue)\.target - )?(?:Emergency|Rescue) Mode",
    r"^- failsafe -",
    r"FAILSAFE MODE active",
)

FAULTS: tuple[Fault, ...] = (
    # Order matters: the first fault that fits a line gives it its name.
    _kernel(
        "init-killed",
        _FATAL,
        r"Kernel panic - not syncing: (?:Attempted to kill init|No (?:working )?init found"
        r"|Requested init )",
    ),
    Fault(
        name="no-root",
        severity=_FATAL,
        pattern=r"(?:Kernel panic - not syncing: )?VFS: "
        r"(?:Cannot open root device|Unable to mount root fs)",
        hint=_ROOT_HINT,
    ),
    Fault(
        name="no-root",
        severity=_FATAL,
        place=FaultPlace.BOOT,
        pattern="|".join(_RAMDISK),
        of_ramdisk=True,
        hint=_ROOT_HINT,
    ),
    Fault(
        name="no-root",
        severity=_FATAL,
        place=FaultPlace.BOOT,
        pattern=_SHELL_OF_RAMDISK,
        after=_NOT_MOUNTED,
        of_ramdisk=True,
        hint=_ROOT_HINT,
    ),
    Fault(
        name="no-root",
        severity=_FATAL,
        place=FaultPlace.BOOT,
        pattern="|".join(_EMERGENCY),
        hint=_EMERGENCY_HINT,
    ),
    _kernel("kernel-panic", _FATAL, r"Kernel panic - not syncing"),
    Fault(
        name="reset",
        severity=_FATAL,
        when_up=True,
        pattern=r"reboot: (?:Restarting system|Power down|System halted)",
    ),
    _kernel(
        "serror",
        _ERROR,
        r"SError Interrupt on CPU",
        r"(?:Internal error: |Unhandled fault: )(?:a?synchronous|imprecise) external abort",
        r"(?:Bad mode in Error handler|Unhandled SError)",
    ),
    _kernel(
        "oops",
        _ERROR,
        r"(?:Internal error: |Oops\b|general protection fault\b).{0,200}\[#\d{1,6}\]",
    ),
    _kernel(
        "bad-access",
        _ERROR,
        r"(?:BUG: )?[Uu]nable to handle (?:kernel|page fault)",
        r"BUG: kernel NULL pointer dereference",
    ),
    _kernel("soft-lockup", _ERROR, r"(?:NMI )?(?:watchdog: )?BUG: soft lockup"),
    _kernel(
        "hard-lockup",
        _ERROR,
        r"(?:NMI )?(?:watchdog: )?Watchdog detected hard LOCKUP",
        r"hard LOCKUP",
    ),
    _kernel(
        "rcu-stall",
        _ERROR,
        r"(?:rcu: )?INFO: rcu_\w{1,20} (?:self-)?detected (?:expedited )?stall",
        r"rcu: rcu_\w{1,20} kthread (?:starved|timer)",
    ),
    _kernel("hung-task", _ERROR, r"INFO: task [^\r\n]{1,80} blocked for more than \d"),
    _kernel(
        "oom",
        _ERROR,
        r"\S{1,40}(?: \S{1,40}){0,3} invoked oom-killer: gfp_mask=",
        r"(?:Memory cgroup o|O)ut of memory: Kill(?:ed)? process \d",
    ),
    _kernel(
        "bug",
        _ERROR,
        r"[Kk]ernel BUG at ",
        r"BUG: ",
        r"UBSAN: ",
        # A test may print its own "BUG: ..."; these are the words that only the kernel uses.
        bare=r"[Kk]ernel BUG at \S{1,120}:\d|UBSAN: \S{1,60} in \S{1,120}:\d"
        r"|BUG: (?:K\w{1,5}SAN: |KFENCE: |sleeping function called from invalid context"
        r"|scheduling while atomic|using \w{1,40}\(\) in preemptible|(?:spin|rw)lock "
        r"|Bad page (?:state|map|cache) |Bad rss-counter|workqueue lockup|non-zero pgtables_bytes"
        r"|Invalid wait context|(?:\w{1,20} )?stack guard page|unable to handle )",
    ),
    _kernel(
        "warning",
        _NOTE,
        r"WARNING: CPU: \d{1,5} PID: \d",
        r"WARNING: \S{1,120}:\d{1,6} at ",
        r"WARNING: (?:possible|inconsistent|suspicious|bad|lock) ",
    ),
    Fault(
        name="firmware-crash",
        severity=_FATAL,
        place=FaultPlace.START,
        pattern=r'"(?:Synchronous Abort|Error)" handler, esr'
        r"|Synchronous Exception at 0x|PANIC (?:in EL3|at PC)|Unhandled Exception (?:in|from) EL3",
    ),
    Fault(
        name="reset",
        severity=_FATAL,
        place=FaultPlace.START,
        when_up=True,
        pattern=r"U-Boot (?:SPL |TPL )?20\d\d\.\d\d|Hit any key to stop autoboot"
        r"|Starting kernel \.\.\.|UEFI firmware \(version|EFI stub: Booting Linux"
        r"|Uncompressing Linux\.\.\. |NOTICE:  BL\d{1,2}: v|Booting Trusted Firmware",
    ),
    Fault(
        name="qemu",
        severity=_ERROR,
        place=FaultPlace.START,
        pattern=r"qemu-system-\w{1,20}: (?!warning: |info: |terminating on signal )",
    ),
)

NAMES = tuple(dict.fromkeys(fault.name for fault in FAULTS))
"""The names of all faults, as a job's ``console_watch`` may ignore them."""
