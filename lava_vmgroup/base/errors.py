# SPDX-License-Identifier: MIT
"""Everything that can end a node or a job, one class per person who must act.

Each class carries the exit status that ``lava-dispatch`` ends with when the error is the cause
of the job's end.  The message says what was tried and what came instead; ``hint`` says what to
do; ``last_lines`` holds the last console lines where a console was involved.  Passwords in URLs are
masked, as messages quote what jobs, configurations and programs say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from lava_vmgroup.base.masking import masked


class VMGroupError(Exception):
    """The root of the project's errors; raise a subclass."""

    exit_status: ClassVar[int] = 70
    """What ``lava-dispatch`` exits with when this error ends the job."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        last_lines: Sequence[str] = (),
    ) -> None:
        message = masked(message)
        super().__init__(message)
        self.message = message
        self.hint = masked(hint)
        self.last_lines = tuple(last_lines)
        self.node: str | None = None
        self.action: str | None = None

    def at(self, *, node: str | None = None, action: str | None = None) -> VMGroupError:
        """Say where the error happened, unless that is known already; returns the error."""
        self.node = self.node or node
        self.action = self.action or action
        return self

    def describe(self) -> str:
        """One line for people: where, what, and what to do."""
        place = ": ".join(part for part in (self.node, self.action) if part)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.hint})" if self.hint else text


class JobError(VMGroupError):
    """The job's author must act: bad schema, unknown type or command, missing image, usage."""

    exit_status = 2

    def __init__(
        self, message: str, *, problems: Iterable[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(masked(problem) for problem in problems)
        """Every problem found in the file, each with its place, for errors that have several."""


class ConfigurationError(VMGroupError):
    """The lab's administrator must act: a configuration file or a device is not as needed."""

    exit_status = 3


class InfrastructureError(VMGroupError):
    """The lab's administrator must act: a console, a host, a network or a disk failed."""

    exit_status = 4


class DeviceInUse(InfrastructureError):
    """Another process uses the device; its user must wait, or use another one."""


class Unfit(InfrastructureError):
    """The lab's administrator must act: host or dispatcher lack what was looked for beforehand."""


class LinkLost(InfrastructureError):
    """The connection to a host broke off; it can perhaps be made again."""


class NodeSkipped(VMGroupError):
    """An optional VM that its host cannot carry; nobody must act, and it is never a cause."""

    @property
    def described(self) -> str:
        """The reason in one line, without the place."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class DeadlineExpired(VMGroupError):
    """A named limit passed; the message says which, how long it was and what was last seen."""

    exit_status = 5

    def because(self, lines: Sequence[str]) -> DeadlineExpired:
        """Return the same error with `lines`, one for each wait of the group."""
        if not lines:
            return self
        return type(self)(f"{self.message}: {'; '.join(lines)}", last_lines=self.last_lines)


class WaitExpired(DeadlineExpired):
    """A limit passed while others were waited for; the error of those others explains more."""


class MultiNodeError(VMGroupError):
    """The group did not work together: a refused request, a group that never became complete."""

    exit_status = 6


class GroupStuck(MultiNodeError):
    """The group waits for members that cannot act any more; the message names each wait."""


class PeerFailed(MultiNodeError):
    """A wait was given up because another member of the group failed; never itself the cause."""

    def __init__(self, message: str, *, canceled: bool = False) -> None:
        super().__init__(message)
        self.canceled = canceled
        """True if the other member was canceled, or failed because of a canceled one."""


class TestError(VMGroupError):
    """The test's owner must act: the test shell broke, or the system died under the test."""

    __test__ = False  # pytest collects classes by this name otherwise
    exit_status = 7


class Canceled(VMGroupError):
    """The job was canceled by a signal; nobody must act."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number

    @property
    def status(self) -> int:
        """The shell's convention for an end by a signal: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal_number
