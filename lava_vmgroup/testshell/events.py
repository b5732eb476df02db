# SPDX-License-Identifier: MIT
"""What a test shell can tell the dispatcher, as values."""

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
    """lava-test-runner says its last words: nothing more comes from this test shell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerReturned:
    """lava-test-runner is no more; without its last words before, it never ran or was killed."""

    status: int


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
    """None when the node could not keep it, as on a full disk."""
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
    """One result."""

    __test__ = False

    test_case_id: str
    result: Outcome
    """The meaning of `reported` in LAVA; a definition may have a word of its own explained."""
    reported: str
    """The word that the test used."""
    measurement: str | None = None
    units: str | None = None
    message: str | None = None
    reference: str | None = None
    """Where more is to be read about the result."""
    doubts: tuple[str, ...] = ()
    """Warnings about the words beside the result, in plain words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRaised:
    """The test says that the job cannot go on."""

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
    """A test calls the group; every call but SEND waits for a reply line."""

    api: MultiNodeApi
    message_id: str
    arguments: tuple[str, ...] = ()
    """SEND: ``key=value``, the value as it is.  WAIT_ALL: the role to wait for, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPart:
    """A part of a SEND that one line cannot carry; the last one is told as the whole call."""

    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class PartWanted:
    """A node has the parts of a reply before this one and asks for it, even after the last."""

    transfer: str
    number: int
    again: bool = False
    """Whether the part came damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A test waits for the answer to a call, and nothing else of it runs."""

    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """A test has ended; its node prints again what the dispatcher says that it misses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a whole record tells, perhaps not for the first time."""

    place: Place
    event: Event | None
    """None when it is nothing to the dispatcher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A record that did not come whole: its node has it still."""

    text: str
    call: Place | None = None
    """Which record it is, if it is a call, so that somebody waits for its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A marker that breaks the rules."""

    text: str
    reason: str
    api: MultiNodeApi | None = None
    """The call it was meant to be: a helper may wait for its reply, so refuse it."""


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
