# SPDX-License-Identifier: MIT
"""Commands whose verdicts stay true while the kernel writes to the same console, and its panic."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from tests.support.lab import Ended

_TALKING = "(for n in $(seq 400); do echo torn $n >/dev/kmsg; sleep 0.02; done) &"
"""The kernel writes this to the console while the commands after it run."""

VERDICTS = {_TALKING: "pass", "true": "pass", "false": "fail", ":": "pass", "(exit 7)": "fail"}


def commands(role: str) -> dict[str, Any]:
    """The action that runs the commands."""
    return {
        "command": "lava_command_run",
        "parameters": {"commands": list(VERDICTS), "role": role},
    }


def verdicts(node: dict[str, Any]) -> dict[str, str]:
    """The verdict of each command."""
    (run,) = (run for run in node["runs"] if run["name"] == "lava-command")
    return {case["name"]: case["result"] for case in run["cases"]}


def assert_death(ended: Ended, node: dict[str, Any], fault: str, case: str, words: str) -> None:
    """The node's system died in a test case, and all that a user sees says so.

    `words` is a regular expression for the last words of the system.
    """
    message = node["error"]["message"]
    intro = f"the console shows {fault} in test case {case}: "
    last = message.removeprefix(intro)
    assert message.startswith(intro)
    assert re.fullmatch(words, last)
    assert node["error"]["class"] == "TestError"
    assert any(last in line for line in node["error"]["last_lines"])
    assert [one["name"] for one in node["faults"]] == [fault]
    junit = ElementTree.parse(ended.output / "junit.xml").getroot()
    (failed,) = junit.iterfind(f".//testcase[@name='{case}']")
    assert last in str(failed.findtext("failure"))
    assert " ".join(message.split()) in " ".join(ended.stdout.split())
    kinds = [one["kind"] for one in ended.events if one["node"] == node["name"]]
    assert [kind for kind in kinds if kind in ("console", "error")] == ["console", "error"]
