# SPDX-License-Identifier: MIT
"""Whole jobs whose host is this machine, which stays up, with shells in the place of VMs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab, coordinator, follow
from tests.support.leftovers import traces
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.processes import said
from tests.support.sshd import Server

HEAD = "metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}\n"
MEETING = f"{HEAD}run: {{steps: [lava-sync together]}}\n"
SURVIVING = f"""{HEAD}
run:
  steps:
    - until [ -e @FOLDER@/vms/job-*/vm1-job17.4 ]; do sleep 0.2; done
    - while [ -e @FOLDER@/vms/job-*/vm1-job17.4 ]; do sleep 0.2; done
    - lava-test-case victim-is-gone --result pass
"""
# Something beside the wait may send, so the group is not at its end.
ABSENT = f"{HEAD}run: {{steps: [lava-wait never-sent | sort]}}\n"
FAILING = f"""{HEAD}
run:
  steps:
    - lava-test-case hello --shell false
    - exit 3
"""


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd, host_heartbeat_timeout=3) as made:
        yield made


def job(*vms: Mapping[str, Any], actions: list[Any]) -> dict[str, Any]:
    return {
        "timeout": 180,
        "vm_group": {"host": {"device_type": "rack"}, "vms": list(vms)},
        "actions": actions,
    }


def test_results_that_cannot_be_written_are_the_last_word_of_a_job_that_passed(lab: Lab) -> None:
    (lab.folder / "results/junit.xml").mkdir(parents=True)
    passing = {"command": "lava_command_run", "parameters": {"commands": ["true"], "role": "guest"}}

    ended = lab.run(write_job(lab, job(entry("guest"), actions=[passing])))

    assert ended.status == 4, ended.stderr
    assert "writing the result file" in ended.stderr
    assert [line for line in ended.stdout.splitlines() if "exit status" in line] == [
        ended.stdout.splitlines()[-1]
    ]
    assert "exit status 4 after" in ended.stdout
    assert "not all files of the results could be written" in ended.stdout


def test_failed_test_case_is_the_exit_status(lab: Lab, sshd: Server) -> None:
    document = job(entry("guest"), actions=[shell_action("failing.yaml", "guest")])
    with (lab.config / "devices/rack01.conf").open("a") as device:
        device.write("ssh_prot = 1\n")

    ended = lab.run(write_job(lab, document, failing=FAILING))

    assert ended.status == 1, ended.stderr
    assert "ssh_prot: unknown key, so it is ignored; did you mean ssh_port?" in ended.stderr
    cases = {
        case["name"]: case["result"]
        for node in ended.results["nodes"]
        for run in node["runs"]
        for case in run["cases"]
    }
    assert cases == {"hello": "fail", "lava-test-shell-run": "fail"}
    assert traces(lab, sshd) == []


def test_summary_is_shown_although_a_result_cannot_be_written(lab: Lab) -> None:
    document = job(entry("guest"), actions=[shell_action("failing.yaml", "guest")])
    (lab.folder / "results/junit.xml").mkdir(parents=True)

    ended = lab.run(write_job(lab, document, failing=FAILING))

    assert ended.status == 4, ended.stderr
    assert "junit.xml failed: Is a directory" in ended.stderr
    assert "Complete" in ended.stdout
    assert len(ended.results["nodes"]) == 2


def says(word: str, event: Mapping[str, Any]) -> bool:
    return event["kind"] == "multinode" and word in event["message"]


def test_dispatcher_that_is_killed_is_named_by_all_others_and_its_vm_removed(
    lab: Lab, sshd: Server
) -> None:
    document = job(
        entry("friend", count=3),
        entry("victim"),
        actions=[
            shell_action("surviving.yaml", "host"),
            shell_action("meeting.yaml", "friend"),
            shell_action("absent.yaml", "victim"),
        ],
    )
    path = write_job(lab, document, meeting=MEETING, absent=ABSENT, surviving=SURVIVING)
    with coordinator(lab.folder) as port:
        started = lab.start_sub_jobs(path, port)
        for number, process in started.items():
            if number == "0":
                continue  # its test looks at the host only
            word = "lava-wait" if number == "4" else "lava-sync"
            events = follow(lab.folder / f"results-{number}/events.jsonl", process)
            assert any(says(word, event) for event in events), said(process)
        victim = started.pop("4")
        victim.kill()
        said(victim)
        ended = {
            number: lab.finish(process, f"results-{number}") for number, process in started.items()
        }

    for number, one in ended.items():
        assert one.status == 6, one.stderr
        own = one.results["nodes"][0]
        end = "left the group" if number == "0" else "failed: its connection to the coordinator"
        assert f"vm1-job17.4 {end}" in own["error"]["message"]
    (run,) = ended["0"].results["nodes"][0]["runs"]
    assert {case["name"]: case["result"] for case in run["cases"]}["victim-is-gone"] == "pass"
    assert traces(lab, sshd) == []


def test_first_node_may_be_a_vm_as_with_lavas_scheduler(lab: Lab, sshd: Server) -> None:
    document = job(
        entry("guest"),
        actions=[shell_action("meeting.yaml", "host"), shell_action("meeting.yaml", "guest")],
    )
    path = write_job(lab, document, meeting=MEETING)
    host, guest = lab.expand(path)
    for sub_job, number in ((host, "17.1"), (guest, "17.0")):
        changed = json.loads(sub_job.read_text()) | {"sub_id": number}
        sub_job.write_text(json.dumps(changed))

    with coordinator(lab.folder) as port:
        started = lab.start_sub_jobs(path, port)
        ended = {
            number: lab.finish(process, f"results-{number}") for number, process in started.items()
        }

    assert [one.status for one in ended.values()] == [0, 0], [one.stderr for one in ended.values()]
    assert [node["name"] for node in ended["1"].results["nodes"]] == ["vm1-job17.1", "rack01"]
    assert [node["name"] for node in ended["0"].results["nodes"]] == ["rack01"]
    assert traces(lab, sshd) == []
