# SPDX-License-Identifier: MIT
"""Groups of which nobody can go on: whole jobs on this machine, with shells in the place of VMs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Ended, Lab
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server

HEAD = "metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}\n"
VMS = "vm1-job0.2 and vm2-job0.1"
ENDS = f"{HEAD}run: {{steps: ['true']}}\n"
MEETING = f"{HEAD}run: {{steps: [lava-sync together]}}\n"


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd) as made:
        yield made


def run(lab: Lab, *actions: Any, timeout: int = 300, **testdefs: str) -> Ended:
    """Run a job of two VMs, the first of role client, the second of role server."""
    document = {
        "timeout": timeout,
        "vm_group": {
            "host": {"device_type": "rack"},
            "vms": [entry("server"), entry("client")],
        },
        "actions": list(actions),
    }
    return lab.run(write_job(lab, document, **testdefs))


def test_vms_in_a_sync_that_their_host_can_never_join_end_at_once_with_who_waits_for_whom(
    lab: Lab,
) -> None:
    ended = run(
        lab,
        shell_action("ends.yaml", "host"),
        shell_action("meeting.yaml", "client"),
        shell_action("meeting.yaml", "server"),
        ends=ENDS,
        meeting=MEETING,
    )

    print(ended.stderr)
    assert ended.status == 6
    print(ended.stderr)
