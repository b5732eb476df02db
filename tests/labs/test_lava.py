# SPDX-License-Identifier: MIT
"""A group as a docker test of a job of a real LAVA server, on the emulated board."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.labs.conftest import EXAMPLE, LavaLab
from tests.support.lava_v2 import ours

HEARTBEAT_S = 30.0
"""The default of ``host_heartbeat_timeout``."""
CLEANUP_S = 10.0
GUEST_PANICS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: basics, description: it dies}
run:
  steps:
  - lava-test-case begun --result pass --measurement 1.5 --units "MB/s"
  - if [ "$(lava-role)" = guest ]; then sleep 1; echo c >/proc/sysrq-trigger; sleep 60; fi
"""


def group(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """LAVA's results of the group's own test cases."""
    return [one for one in found if one["suite"] != "lava"]


EXPECTED = {
    ("linux-boot", "pass"): 2,
    ("group-of-two", "pass"): 2,
    ("uptime", "pass"): 2,
    ("known-to-fail", "fail"): 2,
}


def counted(lava: LavaLab, number: str) -> Counter[tuple[str, str]]:
    """The number of times that each test case of the group has each verdict in LAVA's results."""
    return Counter((one["name"], one["result"]) for one in group(lava.results(number)))


def test_documented_job_completes_with_the_results_of_all_nodes(lava: LavaLab) -> None:
    number = lava.submit()

    lava.ends(number, "Complete")
    assert counted(lava, number) == EXPECTED


def test_host_that_lava_has_booted_is_taken_over(lava: LavaLab) -> None:
    number = lava.submit(job="handed-over.yaml")

    lava.ends(number, "Complete")
    assert counted(lava, number) == EXPECTED


def submit_multinode(lava: LavaLab, group: Path) -> list[str]:
    """Submit a group as a MultiNode job; the numbers of the host's job and of the VM's."""
    folder = lava.state / f"multinode-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "lava_vmgroup", "--expand-to", str(folder)]
    command += ["--format", "lava-v2", "--device-type", "docker", str(group)]
    subprocess.run(command, check=True, timeout=60)
    numbers = lava.lavacli("jobs", "submit", f"/lab/{folder.name}/job.yaml").split()
    assert len(numbers) == 2
    return numbers


def test_group_is_a_multinode_job_of_two_devices(lava: LavaLab) -> None:
    numbers = submit_multinode(lava, EXAMPLE / "group.json")

    for number in numbers:
        lava.ends(number, "Complete")
        assert counted(lava, number) == dict.fromkeys(EXPECTED, 1)
    told = {case.test_set for number in numbers for case in lava.recorded(number)}
    host, vm = sorted(told)
    # LAVA 2023.01 does not say the device's name.
    assert host in ("board01.basics", "board.basics")
    assert vm == "vm1-job0.1.basics"


@pytest.mark.newest_lava
def test_panic_of_a_vm_ends_a_multinode_job(lava: LavaLab) -> None:
    folder = lava.state / lava.publish(test=GUEST_PANICS).removeprefix("/lab/")
    _, guest = submit_multinode(lava, folder / "group.json")

    lava.ends(guest, "Incomplete")
    [job] = [one for one in lava.results(guest) if one["name"] == "job"]
    assert "Kernel panic - not syncing: sysrq triggered crash" in json.dumps(job)


def test_panic_of_a_vm_ends_the_job_with_its_reason_and_all_results(lava: LavaLab) -> None:
    number = lava.submit(lava.publish(test=GUEST_PANICS))

    lava.ends(number, "Incomplete")
    found = lava.results(number)
    [job] = [one for one in found if one["name"] == "job"]
    assert "Kernel panic - not syncing: sysrq triggered crash" in json.dumps(job)
    assert lava.recorded(number) == ours(lava.state / "results" / number) != set()


WAITS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: waits, description: for its end}
run:
  steps:
  - lava-test-case begun --result pass
  - sleep 300
"""
PHASES = {
    "deploy": "vm1-job0.1: uploading vm-arm64.img",
    "boot": "vm1-job0.1: booting",
    "test": "vm1-job0.1: test run waits begins",
}
"""The phases of a job in which it is canceled, each with the event that it begins with."""


def cancel_in(lava: LavaLab, phase: str, job: str) -> None:
    """Cancel a job of the example in a phase, and wait for the end of all that ran for it."""
    number = lava.submit(lava.publish(test=WAITS), job=job)
    lava.until(number, lambda log: PHASES[phase] in log)

    lava.lavacli("jobs", "cancel", number)

    lava.ends(number, "Canceled")
    assert "lava-vmgroup" not in lava.inside("podman", "ps", "--all")
    assert "lava_vmgroup" not in lava.inside("ps", "ax", "-o", "args")


@pytest.mark.newest_lava
@pytest.mark.parametrize("phase", PHASES)
def test_canceled_job_leaves_nothing(lava: LavaLab, phase: str) -> None:
    cancel_in(lava, phase, "job.yaml")

    assert "qemu-system" not in lava.inside("ps", "ax", "-o", "args"), "LAVA switches the board off"


@pytest.mark.newest_lava
@pytest.mark.parametrize("phase", PHASES)
def test_canceled_job_leaves_nothing_on_a_host_that_stays_up(lava: LavaLab, phase: str) -> None:
    with lava.dictionary_without("power_off_command"):
        cancel_in(lava, phase, "handed-over.yaml")

        time.sleep(HEARTBEAT_S + CLEANUP_S)
        assert lava.host_says("ls -A /lava-vm-images /root/.ssh").split() == [
            "/lava-vm-images:",
            "sha256",
            "/root/.ssh:",
        ]
        assert "part" not in lava.host_says("ls /lava-vm-images/sha256")
        assert lava.host_says("ps -e -o args | grep -E 'qemu|lava|supervis' | grep -v grep") == ""
        assert "lava" not in lava.host_says("ip -o link")


@pytest.mark.newest_lava
def test_next_jobs_after_canceled_ones_complete(lava: LavaLab) -> None:
    for job in ("job.yaml", "handed-over.yaml"):
        lava.ends(lava.submit(job=job), "Complete")
