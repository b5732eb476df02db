# SPDX-License-Identifier: MIT
"""Whole jobs with real guests, and with a link to the host that breaks off meanwhile."""

from pathlib import Path

from tests.support.lab import follow
from tests.support.local_lab import guest, guest_actions, local_lab, shell_action, write_job
from tests.support.relay import relay
from tests.support.sshd import Server

HEAD = "metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}\n"
TALKS = f"""{HEAD}
run:
  steps:
    - lava-test-case begun --result pass
    - n=0; while [ $n -lt 400 ]; do n=$((n + 1)); echo "line $n of 400"; usleep 10000; done
    - lava-test-case said-all --result pass
    - lava-send question text='two words'
    - lava-wait answer
    - lava-test-case answered --result pass
"""
ANSWERS = f"""{HEAD}
run:
  steps:
    - lava-wait question
    - lava-test-case asked --shell grep two /tmp/lava_multi_node_cache.txt
    - lava-send answer
"""


def test_consoles_and_results_go_on_when_the_link_breaks_off(
    images: None, tmp_path: Path, sshd: Server
) -> None:
    # The host has no test, as its own console is a connection that nothing can make again.
    document = {
        "timeout": 180,
        "vm_group": {
            "host": {"device_type": "rack"},
            "vms": [guest("talker"), guest("friend")],
        },
        "actions": [
            *guest_actions("talker"),
            *guest_actions("friend"),
            shell_action("talks.yaml", "talker"),
            shell_action("answers.yaml", "friend"),
        ],
    }
    with (
        relay(sshd.address.port) as network,
        local_lab(tmp_path, sshd, ssh_port=network.port) as lab,
    ):
        process = lab.start(write_job(lab, document, talks=TALKS, answers=ANSWERS))
        for event in follow(lab.folder / "results/events.jsonl", process):
            if event["kind"] == "test-case" and event["name"] == "begun":
                network.cut()
        ended = lab.finish(process)

    assert ended.status == 0, ended.stderr
    _, talker, friend = ended.results["nodes"]
    cases = [
        [case["name"] for run in node["runs"] for case in run["cases"]] for node in (talker, friend)
    ]
    assert cases == [["begun", "said-all", "answered"], ["asked"]]
    said = ended.console(talker["name"]).replace("\r", "")
    beside = ended.records(talker["name"])
    for record in ("TEST_CASE_ID=answered RESULT=pass", "<LAVA_SEND_PART ", "<LAVA_WAIT answer"):
        assert record in beside
    assert "TEST_CASE_ID" not in said
    assert "".join(f"line {number} of 400\n" for number in range(1, 401)) in said
