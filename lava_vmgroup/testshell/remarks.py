# SPDX-License-Identifier: MIT
"""Events of a test that need no answer."""

from __future__ import annotations

from lava_vmgroup.base.errors import TestError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.testshell.events import Event, SendPart, TestRaised, TestRemark
from lava_vmgroup.testshell.records import Place
from lava_vmgroup.testshell.runs import RunRecorder


def take(event: Event, place: Place | None, recorder: RunRecorder, log: NodeLog) -> None:
    """Record an event, or log it; raise `TestError` if the test raised an error."""
    match event:
        case TestRaised(message=message):
            raise TestError(f"the test raised an error: {message}")
        case TestRemark(message=message):
            log.event("test-event", message)
        case SendPart():
            pass  # the last part gives the whole call
        case _:
            recorder.event(event, place)
