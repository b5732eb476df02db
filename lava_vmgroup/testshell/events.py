# SPDX-License-Identifier: MIT
"""The events that a test shell can report to the dispatcher."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from lava_vmgroup.results.model import Outcome
from lava_vmgroup.testshell.parts import Part
from lava_vmgroup.testshell.records import Place


class MultiNodeApi(enum.Enum):
    """The MultiNode calls, in the words of their markers."""

    SEND = "SEND"
    SYNC = "SYNC"
    WAIT = "WAIT"
    WAIT_ALL = "WAIT_ALL"

    @property
    def helper(self) -> str:
        """The command that a test uses for the call."""
        return f"lava-{self.value.lower().replace('_', '-')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStarted:
    """lava-test-runner has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerExited:
    """lava-test-runner has printed its last line: nothing more comes from this test shell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerReturned:
    """The runner's command has returned.

    Without `RunnerExited` before, it never ran or was killed.
    """

    status: int
    """The exit status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallFailed:
    """The install steps of a test failed, so the test is skipped."""

    directory: str
    """``<index>_<uuid>`` of the test."""
    early: bool = False
    """The steps ended with 0, but before the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestExited:
    """A test's script has ended, by itself or by a step that failed."""

    __test__ = False

    directory: str
    """``<index>_<uuid>`` of the test."""
    return_code: int | None
    """None if the node could not write it down, as on a full disk."""
    early: bool = False
    """The script ended with 0, but before the last step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """A test's first step is about to run."""

    name: str
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRun:
    """A test's last step has succeeded."""

    name: str
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTestCase:
    """The command of a test case is about to run."""

    test_case_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTestCase:
    """The command of a test case has ended; its result follows."""

    test_case_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCaseSignal:
    """The result of a test case."""

    __test__ = False

    test_case_id: str
    result: Outcome
    """The meaning of `reported`, in LAVA's words or by the definition's ``fixupdict``."""
    reported: str
    """The word that the test used."""
    measurement: str | None = None
    units: str | None = None
    message: str | None = None
    reference: str | None = None
    """A URL that explains the result."""
    doubts: tuple[str, ...] = ()
    """Warnings about the other words of the test case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRaised:
    """The test ends the job, with a reason."""

    __test__ = False

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRemark:
    """The test writes a line into the job's events."""

    __test__ = False

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSet:
    """The following test cases belong to a set; `name` None ends the set."""

    __test__ = False

    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiNodeCall:
    """A test calls the group and waits for a reply; a SEND without a record does not wait."""

    api: MultiNodeApi
    message_id: str
    arguments: tuple[str, ...] = ()
    """SEND: ``key=value``, the value as it is.  WAIT_ALL: the role to wait for, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPart:
    """A part of a SEND that one line cannot carry.  The last part gives the whole call instead."""

    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class PartWanted:
    """A node asks for a part of a reply.  It has all parts before, perhaps even the last one."""

    transfer: str
    """The reply's name."""
    number: int
    """From 1; one more than there are parts if the node has them all."""
    again: bool = False
    """True if the part may have come damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A test waits for the answer to a call, and nothing else of it runs."""

    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """A test has ended.  Its node waits for the numbers of the records that the dispatcher misses,
    and prints them again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A record that came undamaged, perhaps not for the first time."""

    place: Place
    event: Event | None
    """The event of its marker; None for a marker that the dispatcher does not use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A record that came damaged; its node still has it."""

    text: str
    call: Place | None = None
    """The record's place if it is a MultiNode call, whose helper waits for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A marker that breaks the rules."""

    text: str
    reason: str
    api: MultiNodeApi | None = None
    """The call that it was meant to be, if any.  A helper may wait for the reply, so refuse it."""


Event: TypeAlias = (
    RunnerStarted
    | RunnerExited
    | RunnerReturned
    | InstallFailed
    | TestExited
    | StartRun
    | EndRun
    | StartTestCase
    | EndTestCase
    | TestCaseSignal
    | TestRaised
    | TestRemark
    | TestSet
    | MultiNodeCall
    | SendPart
    | PartWanted
    | Blocked
    | Settle
    | Recorded
    | Damaged
    | Malformed
)
