# SPDX-License-Identifier: MIT
"""A helper that waits is asked whether anything else of its test goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from lava_vmgroup.testshell.events import Blocked, Event, MultiNodeCall, TestCaseSignal
from lava_vmgroup.testshell.replies import Reply, ask_blocked, reply_sync

if TYPE_CHECKING:
    from tests.integration.testshell.conftest import Node

BLOCKED = {
    "a step": ["lava-sync x"],
    "a script": ["echo 'lava-sync x; true' >inner", "$LAVA_SHELL inner"],
    "a program's condition": ["if ! lava-sync x; then exit 1; fi"],
    "a test case": ["lava-test-case meeting --shell lava-sync x"],
    "a pipe": ["lava-sync x | tee log"],
    "a subshell": ["(cd /; lava-sync x; true)"],
    "after a program in the background": ["sleep 0 &", "wait", "lava-sync x"],
}
GOING_ON = {
    "in the background": ["lava-sync x & wait"],
    "in the background of a script": ["echo 'lava-sync x & wait' >inner", "$LAVA_SHELL inner"],
    "with a time limit": ["timeout 600 lava-sync x || true"],
    "with a time limit on the terminal": [
        "if timeout --foreground 9 true; then on=--foreground; fi",
        "timeout $on 600 lava-sync x",
    ],
    "beside a program": ["sleep 600 & sleeper=$!", "lava-sync x", "kill $sleeper"],
    "beside another session": ["setsid sleep 600 & sleeper=$!", "lava-sync x", "kill $sleeper"],
    "below a program that may do more": ["xargs -n1 lava-sync <<END\nx\nEND"],
}


def ask_once(node: Node, steps: list[str]) -> list[Event]:
    """Run a test, ask the first call whether it is blocked, and let it go when it calls again."""
    asked = False

    def answer(event: Event) -> Reply | None:
        nonlocal asked
        if not isinstance(event, MultiNodeCall):
            return None
        if asked:
            return reply_sync(ok=True)
        asked = True
        return ask_blocked()

    definition = {
        "metadata": {"name": "blocked", "format": "1.0", "description": ""},
        "run": {"steps": [*steps, "lava-test-case went-on --result pass"]},
    }
    node.environment["LAVA_REPEAT_PAUSE"] = "0.3"
    node.unpack(yaml.safe_dump(definition))
    events = node.run_tests(answer).events
    assert "went-on" in [
        event.test_case_id for event in events if isinstance(event, TestCaseSignal)
    ]
    return events


@pytest.mark.parametrize("steps", BLOCKED.values(), ids=BLOCKED)
def test_helper_says_that_its_test_waits_for_nothing_else(node: Node, steps: list[str]) -> None:
    assert any(isinstance(event, Blocked) for event in ask_once(node, steps))


@pytest.mark.parametrize("steps", GOING_ON.values(), ids=GOING_ON)
def test_helper_says_nothing_where_the_test_may_go_on(node: Node, steps: list[str]) -> None:
    assert not any(isinstance(event, Blocked) for event in ask_once(node, steps))
