# SPDX-License-Identifier: MIT
"""Groups of which everybody waits: whole jobs on this machine, with shells in the place of VMs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Ended, Lab, coordinator
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.sshd import Server

HEAD = "metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}\n"
ENDS = f"{HEAD}run: {{steps: ['true']}}\n"
MEETING = f"{HEAD}run: {{steps: [lava-sync together]}}\n"
TOGETHER = "wait in lava-sync 'together' for rack01, whose tests have ended"
LIMIT_S = 900
"""The jobs' own limit, which none of those reaches that end by themselves."""


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd) as made:
        yield made


def steps(*lines: str) -> str:
    return f"{HEAD}run:\n  steps:\n" + "".join(f"    - |\n      {line}\n" for line in lines)


def job(*actions: Any, **more: Any) -> dict[str, Any]:
    """A job of two VMs, vm2 of role server and vm1 of role client."""
    group = {"host": {"device_type": "rack"}, "vms": [entry("server"), entry("client")]}
    return {"timeout": LIMIT_S, "vm_group": group, "actions": list(actions), **more}


ON_ALL = (
    shell_action("host.yaml", "host"),
    shell_action("client.yaml", "client"),
    shell_action("server.yaml", "server"),
)


def errors(ended: Ended) -> dict[str, str]:
    return {
        node["role"]: node["error"]["message"] for node in ended.results["nodes"] if node["error"]
    }


def warnings(ended: Ended) -> list[str]:
    return [event["message"] for event in ended.events if event["kind"] == "standstill"]


def test_vms_in_a_sync_that_their_host_can_never_join_end_at_once(lab: Lab) -> None:
    path = write_job(lab, job(*ON_ALL), host=ENDS, client=MEETING, server=MEETING)

    ended = lab.run(path)

    assert ended.status == 6, ended.stderr
    line = f"nobody can go on: vm1-job0.2 and vm2-job0.1 {TOGETHER}"
    assert errors(ended) == {"client": line, "server": line}
    assert line in ended.stderr


@pytest.mark.parametrize("wait", ["lava-wait ready", "lava-wait-all ready"])
def test_wait_for_a_message_that_nobody_can_send_ends_at_once(lab: Lab, wait: str) -> None:
    path = write_job(lab, job(*ON_ALL), host=steps(wait), client=ENDS, server=ENDS)

    ended = lab.run(path)

    assert ended.status == 6, ended.stderr
    assert errors(ended)["host"].startswith("nobody can go on: rack01 waits in lava-")


def test_second_test_shell_of_the_host_comes_too_late_for_vms_that_wait(lab: Lab) -> None:
    again = shell_action("server.yaml", "host")

    ended = lab.run(write_job(lab, job(*ON_ALL, again), host=ENDS, client=MEETING, server=MEETING))

    assert ended.status == 6, ended.stderr
    assert TOGETHER in errors(ended)["client"]


def test_second_test_shell_of_a_vm_can_still_answer(lab: Lab) -> None:
    again = shell_action("again.yaml", "server")
    document = job(*ON_ALL, again)
    asks = steps("lava-wait go", "lava-test-case answered --result pass")

    ended = lab.run(
        write_job(lab, document, host=ENDS, client=asks, server=ENDS, again=steps("lava-send go"))
    )

    assert ended.status == 0, ended.stderr
    assert warnings(ended) == []


def test_nothing_is_ended_that_goes_on_by_itself(lab: Lab) -> None:
    client = steps(
        "(sleep 5; lava-send go) & lava-wait go",
        "lava-test-case went-on --result pass",
    )
    server = steps(
        "lava-sync never & sleep 5; kill $!",
        "lava-test-case not-waited-for --result pass",
    )

    ended = lab.run(write_job(lab, job(*ON_ALL), host=ENDS, client=client, server=server))

    assert ended.status == 0, ended.stderr


def test_vms_that_wait_for_each_other_are_warned_of_and_named_when_time_is_up(lab: Lab) -> None:
    tests = shell_action("client.yaml", "client"), shell_action("server.yaml", "server")
    for action in tests:
        action["parameters"]["timeout"] = 20
    document = job(shell_action("host.yaml", "host"), *tests)
    client, server = steps("lava-wait one"), steps("lava-wait other")

    ended = lab.run(write_job(lab, document, host=ENDS, client=client, server=server))

    assert ended.status == 5, ended.stderr
    lines = (
        "vm1-job0.2 waits in lava-wait 'one' for rack01, whose tests have ended, and vm2-job0.1; "
        "vm2-job0.1 waits in lava-wait 'other' for rack01, whose tests have ended, and vm1-job0.2"
    )
    assert warnings(ended) == [f"everybody waits, unless a test does something beside: {lines}"]
    cause = ended.results["cause"]["message"]
    assert cause.startswith("timed out: lava_test_shell, limit 20 s")
    assert "in lava-wait 'one' for rack01, whose tests have ended" in ended.stderr


def test_limit_of_the_job_says_who_waits_for_whom(lab: Lab) -> None:
    # On a busy machine it takes long until the host has nothing left to do but to wait.
    document = job(*ON_ALL) | {"timeout": 45}
    busy = steps("(sleep 600) & lava-sync together")

    ended = lab.run(write_job(lab, document, host=ENDS, client=busy, server=busy))

    assert ended.status == 5, ended.stderr
    assert ended.results["cause"]["node"] != "rack01"
    said = ended.results["cause"]["message"]
    assert "in lava-sync 'together' for rack01, whose tests have ended" in said


def test_host_that_never_starts_its_vms_is_warned_of(lab: Lab) -> None:
    document = job(*ON_ALL)
    document["vm_group"]["auto_start_vms"] = False
    document["actions"][0]["parameters"]["timeout"] = 10

    ended = lab.run(write_job(lab, document, host=MEETING, client=MEETING, server=MEETING))

    assert ended.status == 5, ended.stderr
    assert "rack01 waits in lava-sync 'together' for vm1-job0.2 and vm2-job0.1" in ended.stderr
    assert "vm1-job0.2 and vm2-job0.1 wait in lava-wait 'lava_vm_start' for rack01" in ended.stderr


def test_sub_jobs_at_the_labs_coordinator_end_as_one_job_does(lab: Lab) -> None:
    path = write_job(lab, job(*ON_ALL), host=ENDS, client=MEETING, server=MEETING)

    with coordinator(lab.folder) as port:
        started = lab.start_sub_jobs(path, port)
        ended = {
            number: lab.finish(process, f"results-{number}") for number, process in started.items()
        }

    assert ended["1"].status == 6, ended["1"].stderr
    assert ended["2"].status == 6, ended["2"].stderr
    assert f"vm1-job17.2 and vm2-job17.1 {TOGETHER}" in ended["1"].stderr
