# SPDX-License-Identifier: MIT
"""What kernels, firmware and QEMU say on a console when something is wrong.

The kernel's words are looked for where a message of the kernel begins; see
`lava_vmgroup.console.watch`.  Patterns are tried on single lines of a limited length, and their
repetitions are bounded.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class Severity(enum.Enum):
    """What a fault means for the job."""

    FATAL = "fatal"
    """Ends the node."""
    ERROR = "error"
    """Fails a test case; the job goes on."""
    NOTE = "note"
    """Is told and kept."""

    @property
    def rank(self) -> int:
        """The greater, the worse."""
        return (Severity.NOTE, Severity.ERROR, Severity.FATAL).index(self)


class Place(enum.Enum):
    """Where in a line a pattern is tried."""

    MESSAGE = enum.auto()
    """Where a message of the kernel begins."""
    START = enum.auto()
    ANYWHERE = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault, and how it shows in a line."""

    name: str
    severity: Severity
    pattern: str
    place: Place = Place.MESSAGE
    when_up: bool = False
    """Whether it is only a fault while a system is supposed to be up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFault:
    """A fault that a node's console has shown."""

    name: str
    severity: Severity
    line: str
    """The line that told it, from where the message begins."""
    lines: tuple[str, ...]
    """Some lines before it, itself, and what followed at once, such as a call trace."""
    test_case: str | None
    """The test case that was running."""
    seen_at: datetime
    """UTC."""


def _kernel(name: str, severity: Severity, *patterns: str) -> Fault:
    return Fault(name=name, severity=severity, pattern="|".join(patterns))


_FATAL, _ERROR, _NOTE = Severity.FATAL, Severity.ERROR, Severity.NOTE

FAULTS: tuple[Fault, ...] = (
    # The first that fits a line gives it its name.
    _kernel(
        "init-killed",
        _FATAL,
        r"Kernel panic - not syncing: (?:Attempted to kill init|No init found)",
    ),
    _kernel(
        "no-root",
        _FATAL,
        r"Kernel panic - not syncing: VFS: Unable to mount root fs",
        r"VFS: (?:Cannot open root device|Unable to mount root fs)",
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
        r"(?:Internal error: )?Oops\b[^:]{0,60}:",
        r"Internal error: ",
        r"general protection fault\b",
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
        r"\S{1,40}(?: \S{1,40}){0,3} invoked oom-killer",
        r"(?:Memory cgroup o|O)ut of memory: Kill",
    ),
    _kernel("bug", _ERROR, r"[Kk]ernel BUG at ", r"BUG: ", r"UBSAN: "),
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
        place=Place.START,
        pattern=r'"(?:Synchronous Abort|Error)" handler, esr'
        r"|Synchronous Exception at 0x|PANIC (?:in EL3|at PC)|Unhandled Exception (?:in|from) EL3",
    ),
    Fault(
        name="reset",
        severity=_FATAL,
        place=Place.START,
        when_up=True,
        pattern=r"U-Boot (?:SPL |TPL )?20\d\d\.\d\d|Hit any key to stop autoboot"
        r"|Starting kernel \.\.\.|UEFI firmware \(version|EFI stub: Booting Linux"
        r"|Uncompressing Linux\.\.\. |NOTICE:  BL\d{1,2}: v|Booting Trusted Firmware",
    ),
    Fault(
        name="qemu",
        severity=_ERROR,
        place=Place.START,
        pattern=r"qemu-system-\w{1,20}: (?!warning: |info: |terminating on signal )",
    ),
)

NAMES = tuple(dict.fromkeys(fault.name for fault in FAULTS))
"""What a job may ignore."""
