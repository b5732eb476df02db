# SPDX-License-Identifier: MIT
"""The matrix of faults: each phase, each fault and the job's right end, as data."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace


class Phase(enum.Enum):
    """Phase of the VM in which the fault happens."""

    DEPLOY = "deploy"
    BOOT = "boot"
    TEST = "test"
    WAIT = "wait"
    CLEANUP = "cleanup"


class Fault(enum.Enum):
    """A fault."""

    CONSOLE_CLOSED = "console-closed"
    GARBAGE = "garbage"
    PANIC = "guest-panic"
    QEMU_KILLED = "qemu-killed"
    HOST_REBOOTED = "host-rebooted"
    SSHD_STOPPED = "sshd-stopped"
    LINK_FROZEN = "link-frozen"
    DISK_FULL = "disk-full"
    TRUNCATED = "image-truncated"
    DISPATCHER_KILLED = "dispatcher-killed"
    COORDINATOR_GONE = "coordinator-gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The right end of the job."""

    status: int
    """The exit status of ``lava-dispatch``."""
    error: str = ""
    """The class of the cause; empty for none."""
    says: str = ""
    """Part of the cause's message."""
    states: tuple[str, str] = ("Incomplete", "Incomplete")
    """Of the host and of the VM."""
    vm_status: tuple[int, ...] = (0,)
    """Exit statuses that the VM's own ``lava-dispatch`` may have, if it has one."""


@dataclass(frozen=True, slots=True)
class Untried:
    """Why it is not tried: mostly as it makes no sense."""

    reason: str


PATIENCE_S = 4
"""Seconds of silence after which host and dispatcher give each other up."""

_NO_GUEST = Untried("there is no guest yet")
_ENDED_BY_US = Untried("the VM is being ended, and nobody listens to it any more")
_DONE = Outcome(status=0, states=("Complete", "Complete"))
_GONE = Outcome(status=4, error="InfrastructureError", says="the connection to the host has ended")
_SILENT = Outcome(
    status=4,
    error="InfrastructureError",
    says=f"the host has not answered for {PATIENCE_S} s",
)
_LONELY = Outcome(status=4, error="InfrastructureError", says="did not answer lava_wait_all")
_VM_IS_DONE = ("Incomplete", "Complete")
_KILLED = Outcome(status=-9)


def _failed(says: str, *, status: int = 4, error: str = "InfrastructureError") -> Outcome:
    return Outcome(status=status, error=error, says=says)


def _vm_failed(says: str, *, status: int = 4, error: str = "InfrastructureError") -> Outcome:
    return Outcome(status=status, error=error, says=says, states=("Complete", "Incomplete"))


MATRIX: Mapping[Fault, Mapping[Phase, Outcome | Untried]] = {
    Fault.CONSOLE_CLOSED: {
        Phase.DEPLOY: _NO_GUEST,
        Phase.BOOT: _vm_failed("the console was closed"),
        Phase.TEST: _vm_failed("the console was closed", status=7, error="TestError"),
        Phase.WAIT: _vm_failed("the console was closed", status=7, error="TestError"),
        Phase.CLEANUP: _ENDED_BY_US,
    },
    Fault.GARBAGE: {
        Phase.DEPLOY: _NO_GUEST,
        Phase.BOOT: _DONE,
        Phase.TEST: _DONE,
        Phase.WAIT: _DONE,
        Phase.CLEANUP: _ENDED_BY_US,
    },
    Fault.PANIC: {
        Phase.DEPLOY: _NO_GUEST,
        Phase.BOOT: _vm_failed("the console shows init-killed: Kernel panic"),
        Phase.TEST: _vm_failed(
            "the console shows kernel-panic in test case hang: Kernel panic",
            status=7,
            error="TestError",
        ),
        Phase.WAIT: _vm_failed(
            "the console shows kernel-panic: Kernel panic", status=7, error="TestError"
        ),
        Phase.CLEANUP: _ENDED_BY_US,
    },
    Fault.QEMU_KILLED: {
        Phase.DEPLOY: _NO_GUEST,
        Phase.BOOT: _vm_failed("QEMU ended: Killed"),
        Phase.TEST: _vm_failed("the console was closed", status=7, error="TestError"),
        Phase.WAIT: _vm_failed("the console was closed", status=7, error="TestError"),
        Phase.CLEANUP: _DONE,
    },
    Fault.HOST_REBOOTED: {
        Phase.DEPLOY: _SILENT,
        Phase.BOOT: _SILENT,
        Phase.TEST: _SILENT,
        Phase.WAIT: _SILENT,
        Phase.CLEANUP: replace(_SILENT, states=_VM_IS_DONE),
    },
    Fault.SSHD_STOPPED: {
        Phase.DEPLOY: _GONE,
        Phase.BOOT: _GONE,
        Phase.TEST: _GONE,
        Phase.WAIT: _GONE,
        Phase.CLEANUP: replace(_GONE, states=_VM_IS_DONE),
    },
    Fault.LINK_FROZEN: {
        Phase.DEPLOY: _SILENT,
        Phase.BOOT: _SILENT,
        Phase.TEST: _SILENT,
        Phase.WAIT: _SILENT,
        Phase.CLEANUP: replace(_SILENT, states=_VM_IS_DONE),
    },
    Fault.DISK_FULL: {
        Phase.DEPLOY: _vm_failed("MiB are free below"),
        Phase.BOOT: _vm_failed("ended with status 1"),
        Phase.TEST: _vm_failed("lava_test_shell, limit", status=5, error="DeadlineExpired"),
        Phase.WAIT: Untried("as in a test: what the guest says is lost"),
        Phase.CLEANUP: _DONE,
    },
    Fault.TRUNCATED: {
        Phase.DEPLOY: _vm_failed("arrived damaged"),
        Phase.BOOT: Untried("every image is in the store, and whole"),
        Phase.TEST: Untried("every image is in the store, and whole"),
        Phase.WAIT: Untried("every image is in the store, and whole"),
        Phase.CLEANUP: Untried("no image is used any more"),
    },
    Fault.DISPATCHER_KILLED: dict.fromkeys(Phase, _KILLED),
    Fault.COORDINATOR_GONE: {
        Phase.DEPLOY: Untried("as in a test: nobody needs it before the test does"),
        Phase.BOOT: Untried("as in a test: nobody needs it before the test does"),
        Phase.TEST: replace(_LONELY, states=_VM_IS_DONE),
        Phase.WAIT: replace(_LONELY, vm_status=(4, 5, 7)),
        Phase.CLEANUP: Untried("as in a test, whose VM is cleaned up without it"),
    },
}


def as_rst() -> str:
    """The matrix as it stands in ``docs/reliability.rst``."""
    lines = [".. list-table::", "   :header-rows: 1", "   :stub-columns: 1", ""]
    for row in (["", *(phase.value for phase in Phase)], *map(_row, Fault)):
        bullets = ["*", *" " * (len(row) - 1)]
        lines += [
            f"   {bullet} - {cell}".rstrip() for bullet, cell in zip(bullets, row, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _row(fault: Fault) -> list[str]:
    return [fault.value, *(_cell(MATRIX[fault][phase]) for phase in Phase)]


def _cell(outcome: Outcome | Untried) -> str:
    if isinstance(outcome, Untried):
        return f"*{outcome.reason}*"
    status = "killed" if outcome.status < 0 else str(outcome.status)
    if outcome.vm_status != (0,):
        status += f", the VM's {' or '.join(map(str, outcome.vm_status))}"
    return f"{status}: {outcome.says}" if outcome.says else status
