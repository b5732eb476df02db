# SPDX-License-Identifier: MIT
"""A board whose kernel panics or is reset in a test ends its group at once."""

from typing import Any

import pytest

from tests.e2e.test_vm_group import group
from tests.support.lab import Lab
from tests.support.talking_kernel import VERDICTS, assert_death, commands, verdicts

HOST_DIES = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: host-dies, description: by a key}
run:
  steps:
    - lava-wait running
    # The last lines before a system dies may still be on their way.
    - lava-test-case dies --shell 'sh -c "sleep 1; echo KEY >/proc/sysrq-trigger"'
"""

VM_RUNS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: vm-runs, description: never ends}
run:
  steps:
    - lava-send running
    - lava-test-case hang --shell sleep 1000
"""

SHELL_OF_THE_HOST = {"shell_prompt": "guest> ", "launch_with": "PS1='guest> ' exec sh -i"}


def shell(testdef: str, role: str) -> dict[str, Any]:
    return {
        "command": "lava_test_shell",
        "parameters": {"testdef_urls": [testdef], "role": role},
    }


@pytest.mark.parametrize(
    ("key", "fault", "words"),
    [
        ("c", "kernel-panic", "Kernel panic - not syncing: sysrq triggered crash"),
        ("b", "reset", r"U-Boot 20\d\d\..*"),
    ],
)
def test_host_that_dies_in_a_test_ends_the_group_with_its_last_words(
    key: str, fault: str, words: str, lab: Lab
) -> None:
    job = group({"role": "guest", **SHELL_OF_THE_HOST})
    del job["vm_group"]["vms"][0]["image"]
    job["actions"][1:] = [
        commands("host"),
        shell("host.yaml", "host"),
        shell("testdef.yaml", "guest"),
    ]
    (lab.folder / "host.yaml").write_text(HOST_DIES.replace("KEY", key))

    ended = lab.run(lab.write_job(job, VM_RUNS))

    assert ended.status == 7, ended.stderr
    host, guest = ended.results["nodes"]
    assert verdicts(host) == VERDICTS
    assert_death(ended, host, fault, "dies", words)
    assert guest["error"]["class"] == "PeerFailed"
    assert [node["state"] for node in (host, guest)] == ["Incomplete"] * 2
