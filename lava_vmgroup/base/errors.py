# SPDX-License-Identifier: MIT
"""The errors that can end a node or a job, one class per person who must act.

- ``exit_status`` is the exit status of ``lava-dispatch`` if the error is the cause of the job's
  end.
- ``message`` names the attempt and the result that came instead, ``hint`` the remedy.
- ``last_lines`` holds the last console lines if a console was involved.
- Messages quote jobs, configurations and programs, so passwords in URLs are masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from lava_vmgroup.base.masking import masked


class VMGroupError(Exception):
    """The root of the project's errors; raise a subclass."""

    exit_status: ClassVar[int] = 70
    """The exit status of ``lava-dispatch`` when this error ends the job."""

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
        """Note the node and the action of the error if none is noted yet; return the error."""
        self.node = self.node or node
        self.action = self.action or action
        return self

    def again(self) -> VMGroupError:
        """Return the same error without node and action, for another node."""
        return type(self)(self.message, hint=self.hint)

    def describe(self) -> str:
        """Return one line for people: node, action, message and hint."""
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
        """The problems found in the file, each with its place; empty if the message is enough."""


class ConfigurationError(VMGroupError):
    """The lab's administrator must act: a configuration file or a device is missing or wrong."""

    exit_status = 3


class InfrastructureError(VMGroupError):
    """The lab's administrator must act: a console, a host, a network or a disk failed."""

    exit_status = 4


class DeviceInUse(InfrastructureError):
    """Another process uses the device or the output directory: wait, or use another one."""


class Unfit(InfrastructureError):
    """The lab's administrator must act: the host or the dispatcher failed a check."""


class DeviceTaken(InfrastructureError):
    """Somebody else took the device away during the job, which must not touch it any more."""


class LinkLost(InfrastructureError):
    """The connection to a host broke off; a new one may succeed."""


class NodeSkipped(VMGroupError):
    """A node is skipped, such as an optional VM that its host cannot carry.

    Nobody must act; this error is never the cause of the job's end.
    """

    @property
    def described(self) -> str:
        """The reason in one line, without the place."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class DeadlineExpired(VMGroupError):
    """A time limit passed; the message has its name, its length and the last console line."""

    exit_status = 5

    def because(self, lines: Sequence[str]) -> DeadlineExpired:
        """Return the same error with `lines` in its message, one for each wait of the group."""
        if not lines:
            return self
        return type(self)(f"{self.message}: {'; '.join(lines)}", last_lines=self.last_lines)


class WaitExpired(DeadlineExpired):
    """A time limit passed in a wait for other members; their own errors explain more."""


class MultiNodeError(VMGroupError):
    """The group failed to work together: a refused request, or a member that never came."""

    exit_status = 6


class GroupStuck(MultiNodeError):
    """The group waits for members that cannot act any more; the message names each wait."""


class PeerFailed(MultiNodeError):
    """A wait ended because another member of the group failed; that member has the cause."""

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

    def again(self) -> Canceled:
        """See `VMGroupError.again`."""
        return Canceled(self.message, signal_number=self.signal_number)

    @property
    def status(self) -> int:
        """The exit status by the shell's convention: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal_number


def status_of(error: VMGroupError) -> int:
    """Return the exit status of ``lava-dispatch`` for the error that ends it."""
    return error.status if isinstance(error, Canceled) else error.exit_status
