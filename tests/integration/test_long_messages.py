# SPDX-License-Identifier: MIT
"""Messages that one line of a console cannot carry arrive whole, or the wait for them fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.lab import Lab
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server

HEAD = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: long, description: messages}
"""
OWN_CACHE = (
    "sed -i 's|^LAVA_MULTI_NODE_CACHE=.*|LAVA_MULTI_NODE_CACHE=@FOLDER@/cache.txt|' "
    '"$(dirname "$(command -v lava-wait)")/../lava-environment"'
)
"""Other tests of this machine use the usual file at the same time."""
SENT = "head -c 20000 /dev/zero | tr '\\0'"


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    """A lab whose host is this machine."""
    with local_lab(tmp_path, sshd) as made:
        yield made


def passed(lab: Lab, *steps: str) -> set[str]:
    """The test cases that passed when the host ran these steps."""
    document = {
        "timeout": 300,
        "vm_group": {"host": {"device_type": "rack"}, "vms": [entry("vm")]},
        "actions": [shell_action("test.yaml", "host")],
    }
    definition = HEAD + yaml.safe_dump({"run": {"steps": [OWN_CACHE, *steps]}})

    ended = lab.run(write_job(lab, document, test=definition))

    assert ended.status == 0, ended.stderr
    [run] = ended.results["nodes"][0]["runs"]
    return {case["name"] for case in run["cases"] if case["result"] == "pass"}


def test_long_message_arrives_whole_while_others_are_sent(lab: Lab) -> None:
    assert "whole" in passed(
        lab,
        f"lava-send big $(for key in 1 2 3 4 5 6 7 8; do echo $key=$({SENT} x); done)",
        "lava-wait big & waiting=$!",
        "for number in 1 2 3 4 5 6 7 8; do sleep 0.1; lava-send m$number; done",
        "wait $waiting",
        "lava-test-case whole --shell test $(wc -c <@FOLDER@/cache.txt) -gt 160000",
    )


def test_two_long_messages_arrive_at_the_same_time(lab: Lab) -> None:
    assert "both" in passed(
        lab,
        f"lava-send one data=$({SENT} x); lava-send two data=$({SENT} y)",
        "lava-wait one & one=$!",
        "lava-wait two & two=$!",
        "wait $one && wait $two && lava-test-case both --result pass",
    )
