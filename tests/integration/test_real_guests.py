# SPDX-License-Identifier: MIT
"""Whole jobs with real guests on this machine, and with a link to it that breaks off meanwhile."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.sparse import copy_sparse
from lava_vmgroup.deploy.filesystems import file_system, partitions
from tests.integration.test_whole_jobs import HEAD, job
from tests.support.lab import IMAGES, Ended, Lab, follow
from tests.support.leftovers import traces
from tests.support.local_lab import (
    guest,
    guest_actions,
    local_lab,
    only_programs,
    shell_action,
    write_job,
)
from tests.support.relay import Relay, relay
from tests.support.sshd import Server
from tests.support.talking_kernel import VERDICTS, assert_death, commands, verdicts

EXTLINUX = "/boot/extlinux/extlinux.conf"
FIRMWARE = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
TALKS = f"""{HEAD}
run:
  steps:
    - lava-test-case begun --result pass
    - n=0; while [ $n -lt 200 ]; do n=$((n + 1)); echo "line $n of 200"; usleep 10000; done
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


HELLO = f"{HEAD}run: {{steps: [lava-test-case hello --shell true]}}\n"
WAITING = (
    f"{HEAD}run: {{steps: [lava-test-case begun --result pass, lava-wait never-sent | sort]}}\n"
)
PING = "for try in 1 2 3 4 5; do ping -c 1 -W 10"
NEIGHBOURS = f"""{HEAD}
run:
  steps:
    - lava-send here-$(lava-self) ip="$LAVA_VM_GROUP_IP"
    - |
      for name in $(lava-group guest); do
          lava-wait "here-$name"
          address=$(sed -n 's/.*:ip=//p' /tmp/lava_multi_node_cache.txt)
          lava-test-case "reaches-$name" --shell "{PING} $address && break; done"
      done
    - lava-test-case reaches-host --shell "{PING} 10.0.2.2 && break; done"
    - lava-test-case network-card --result pass --measurement "$LAVA_VM_GROUP_IFACE"
    - lava-send done-$(lava-self)
    - for name in $(lava-group guest); do lava-wait "done-$name"; done
"""
NO_BRIDGE = "#!/bin/sh\necho 'RTNETLINK answers: Operation not permitted'\nexit 2\n"
DIES = f"""{HEAD}
run:
  steps:
    - lava-test-case before-the-end --result pass --measurement 3 --units apples
    - poweroff -f
"""
LEAVES = f"""{HEAD}
run:
  steps:
    - lava-test-case before-the-end --result pass
    - poweroff
    - sleep 60
    - lava-test-case never --shell false
"""
CRASHES = f"""{HEAD}
run:
  steps:
    # The last lines before a system dies may still be on their way.
    - lava-test-case before --result pass
    - lava-test-case crash --shell 'sh -c "sleep 1; echo c >/proc/sysrq-trigger"'
"""
HANGS = f"""{HEAD}
run:
  steps:
    - lava-test-case before-the-limit --result fail
    - lava-test-case hanging --shell sleep 1000
"""


@pytest.fixture
def network(sshd: Server) -> Iterator[Relay]:
    with relay(sshd.address.port) as made:
        yield made


@pytest.fixture
def lab(images: None, tmp_path: Path, sshd: Server, network: Relay) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd, ssh_port=network.port) as made:
        yield made
        assert made.processes() == []


def test_consoles_and_results_go_on_when_the_link_breaks_off(lab: Lab, network: Relay) -> None:
    # The host has no test, as its own console is a connection that nothing can make again.
    document = job(
        guest("talker"),
        guest("friend"),
        actions=[
            *guest_actions("talker"),
            *guest_actions("friend"),
            shell_action("talks.yaml", "talker"),
            shell_action("answers.yaml", "friend"),
        ],
    )
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
    assert "".join(f"line {number} of 200\n" for number in range(1, 201)) in said


def test_vms_reach_each_other_without_a_bridge(lab: Lab, sshd: Server) -> None:
    only_programs(sshd, replaced={"ip": NO_BRIDGE})
    (lab.config / "device-types/kvm-aarch64.conf").unlink()  # it has no networks
    actions = [*guest_actions("guest"), shell_action("neighbours.yaml", "guest")]

    ended = lab.run(
        write_job(lab, job(guest("guest", count=2), actions=actions), neighbours=NEIGHBOURS)
    )

    assert ended.status == 0, ended.stderr
    assert "the host allows no bridge" in ended.stderr
    guests = [node for node in ended.results["nodes"] if node["role"] == "guest"]
    cases = [
        {case["name"]: case["result"] for run in node["runs"] for case in run["cases"]}
        for node in guests
    ]
    wanted = {"reaches-host", "network-card", *(f"reaches-{node['name']}" for node in guests)}
    assert cases == [dict.fromkeys(wanted, "pass")] * 2


def test_results_before_a_death_and_a_time_out_are_kept(lab: Lab, sshd: Server) -> None:
    hanging = shell_action("hangs.yaml", "host")
    hanging["parameters"]["timeout"] = 5  # begins when the guest has left
    actions = [
        *guest_actions("guest"),
        shell_action("dies.yaml", "guest"),
        shell_action("hello.yaml", "host"),
        hanging,
    ]
    document = job(guest("guest"), actions=actions)

    ended = lab.run(write_job(lab, document, dies=DIES, hello=HELLO, hangs=HANGS))

    host, dead = ended.results["nodes"]
    assert ended.status == 7, ended.stderr
    assert (host["state"], dead["state"]) == ("Incomplete", "Incomplete")
    assert "timed out: lava_test_shell, limit 5 s" in host["error"]["message"]
    expected = {"hello": "pass", "before-the-limit": "fail", "before-the-end": "pass"}
    in_json = {
        case["name"]: case["result"]
        for node in (host, dead)
        for run in node["runs"]
        for case in run["cases"]
    }
    assert expected.items() <= in_json.items()
    bundle = json.loads((ended.output / "bundle.json").read_text())
    in_bundle = {
        result["test_case_id"]: result
        for run in bundle["test_runs"]
        if run["test_id"] != "lava"
        for result in run["test_results"]
    }
    assert expected.items() <= {name: one["result"] for name, one in in_bundle.items()}.items()
    assert in_bundle["before-the-end"]["measurement"] == "3"
    junit = ElementTree.parse(ended.output / "junit.xml").getroot()
    in_junit = {case.get("name"): case.find("failure") is None for case in junit.iter("testcase")}
    assert {name: one == "pass" for name, one in expected.items()}.items() <= in_junit.items()
    assert traces(lab, sshd) == []


def assert_said_to_be_emulated(ended: Ended) -> None:
    """No result of a guest that was emulated passes for KVM's."""
    name, facts = (ended.results["nodes"][1][key] for key in ("name", "attributes"))
    assert (facts["accelerator"], facts["emulated"]) == ("tcg", "true")
    assert f"emulated: {name}: the job wants it emulated" in ended.stdout
    assert re.search(rf"{name} *│ guest *│ Complete *│ emulated ", ended.stdout)
    junit = ElementTree.parse(ended.output / "junit.xml").getroot()
    suites = [suite for suite in junit.iter("testsuite") if suite.get("hostname") == name]
    assert len(suites) == 2
    for suite in suites:
        said = {one.get("name"): one.get("value") for one in suite.iterfind("properties/property")}
        assert facts.items() <= said.items()
    bundle = json.loads((ended.output / name / "bundle.json").read_text())
    assert all(facts.items() <= run["attributes"].items() for run in bundle["test_runs"])


def test_guests_kernel_tears_no_verdict_and_its_panic_is_told(lab: Lab) -> None:
    actions = [*guest_actions("guest"), commands("guest"), shell_action("crashes.yaml", "guest")]

    ended = lab.run(write_job(lab, job(guest("guest"), actions=actions), crashes=CRASHES))

    assert ended.status == 7, ended.stderr
    host, guests_node = ended.results["nodes"]
    assert verdicts(guests_node) == VERDICTS
    panic = "Kernel panic - not syncing: sysrq triggered crash"
    assert_death(ended, guests_node, "kernel-panic", "crash", panic)
    assert host["state"] == "Complete"


def test_guest_that_ends_in_order_before_its_tests_do_has_not_passed(lab: Lab) -> None:
    actions = [*guest_actions("leaver"), shell_action("leaves.yaml", "leaver")]

    ended = lab.run(write_job(lab, job(guest("leaver"), actions=actions), leaves=LEAVES))

    assert ended.status == 7, ended.stderr
    _, leaver = ended.results["nodes"]
    assert leaver["state"] == "Incomplete"
    (run,) = leaver["runs"]
    verdicts = {case["name"]: case["result"] for case in run["cases"]}
    # On a busy machine, the console shows the end before the results are collected: a test case.
    assert verdicts.pop("lava-console-reset", "fail") == "fail"
    assert verdicts == {"before-the-end": "pass"}
    assert not run["finished"]


def test_cancel_leaves_nothing_of_a_guest(lab: Lab, sshd: Server) -> None:
    actions = [*guest_actions("guest"), shell_action("waiting.yaml", "guest")]
    path = write_job(lab, job(guest("guest"), actions=actions), waiting=WAITING)

    ended = lab.run_until(path, lambda event: event["kind"] == "test-case", signal.SIGINT)

    assert ended.status == 128 + signal.SIGINT, ended.stderr
    host, vm = ended.results["nodes"]
    assert (host["state"], vm["state"]) == ("Canceled", "Canceled")
    assert [case["name"] for run in vm["runs"] for case in run["cases"]][:1] == ["begun"]
    assert traces(lab, sshd) == []


def test_firmware_of_the_job_boots_the_guest(lab: Lab) -> None:
    firmware = lab.folder / "firmware"  # not the one that the host would add
    firmware.write_bytes(FIRMWARE.read_bytes().replace(b"U-Boot 20", b"J-Boot 20"))
    files = {"rootfs": str(IMAGES / "vm-arm64.img"), "firmware": str(firmware)}
    actions = [
        {"command": "deploy_linaro_kernel", "parameters": {**files, "role": "guest"}},
        {"command": "boot_linaro_image", "parameters": {"role": "guest"}},
        shell_action("hello.yaml", "guest"),
    ]

    document = job(guest("guest", accelerator="tcg"), actions=actions)
    ended = lab.run(write_job(lab, document, hello=HELLO))

    assert ended.status == 0, ended.stderr
    assert_said_to_be_emulated(ended)
    assert "J-Boot 20" in ended.console(ended.results["nodes"][1]["name"])


def test_image_for_another_machine_boots_on_the_vms_console_and_disk(lab: Lab) -> None:
    image = lab.folder / "foreign.img"
    copy_sparse(IMAGES / "vm-arm64.img", image, lambda: None)
    deadline = Deadline.after("the test", 60.0)
    ((_, offset),) = partitions(image, deadline).items()
    files = file_system(image, offset, deadline)
    assert files is not None
    old = files.read(EXTLINUX)
    assert old is not None
    ours = old.replace(b"console=ttyAMA0", b"console=ttyS2,1500000n8")
    files.put(ours.replace(b"/dev/vda1", b"/dev/mmcblk0p2"), EXTLINUX, 0o644)
    deploy = {
        "command": "deploy_linaro_image",
        "parameters": {"image": str(image), "role": "guest"},
    }
    boot = {"command": "boot_linaro_image", "parameters": {"role": "guest"}}
    actions = [deploy, boot, shell_action("hello.yaml", "guest")]

    ended = lab.run(write_job(lab, job(guest("guest"), actions=actions), hello=HELLO))

    assert ended.status == 0, ended.stderr
    assert "the VM has no /dev/mmcblk0p2; it gets root=/dev/vda1" in ended.stderr


def test_host_that_v1s_words_describe_runs_guests_and_stays_as_it_was(
    lab: Lab, sshd: Server, network: Relay
) -> None:
    (lab.config / "device-types/rack.conf").write_text(
        f"client_type = dummy\ndummy_driver = ssh\nvm_folder = {lab.folder}/vms\n"
    )
    (lab.config / "devices/rack01.conf").write_text(
        f"device_type = rack\ndummy_ssh_host = 127.0.0.1\ndummy_ssh_port = {network.port}\n"
        f"dummy_ssh_username = {sshd.address.username}\n"
        f"dummy_ssh_identity_file = {lab.folder}/id\nssh_known_hosts = {lab.folder}/known_hosts\n"
    )
    keys = sshd.authorized_keys.read_text()
    actions = [
        *guest_actions("guest"),
        shell_action("hello.yaml", "guest"),
        shell_action("hello.yaml", "host"),
    ]

    ended = lab.run(write_job(lab, job(guest("guest"), actions=actions), hello=HELLO))

    assert ended.status == 0, ended.stderr
    cases = [
        [case["result"] for run in node["runs"] for case in run["cases"]]
        for node in ended.results["nodes"]
    ]
    assert cases == [["pass"], ["pass"]]
    assert sshd.authorized_keys.read_text() == keys
    assert [path.name for path in (lab.folder / "vms").iterdir()] == ["sha256"]
    assert list((lab.folder / "tests").iterdir()) == []
