# SPDX-License-Identifier: MIT
"""Whole jobs in which consoles show faults, or nothing any more."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.integration.test_whole_jobs import HEAD, MEETING, job
from tests.support.lab import Lab
from tests.support.leftovers import traces
from tests.support.local_lab import entry, local_lab, shell_action, write_job
from tests.support.played_board import TYPE, board_lab
from tests.support.processes import until
from tests.support.relay import relay
from tests.support.sshd import Server

PANIC = "Kernel panic - not syncing: sysrq triggered crash"
PANICS = f"""{HEAD}
run:
  steps:
    - lava-test-case before --result pass
    - sh @FOLDER@/panic.sh &
    - lava-test-case crash --shell 'lava-wait never-sent | sort'
"""
PANICS_LATER = f"""{HEAD}
run:
  steps:
    - sh @FOLDER@/panic.sh >/dev/tty 2>&1 &
"""
PANIC_SH = f"""\
sleep 2
printf '[   12.345678] %s\\n' 'sysrq: Trigger a crash' '{PANIC}' 'CPU: 0 PID: 9 Comm: sh' \\
    'Call trace:' ' sysrq_handle_crash+0x20/0x28' '---[ end {PANIC} ]---'
"""
OOPSES = f"""{HEAD}
run:
  steps:
    - lava-test-case mine --shell echo eth0 lost 3 frames
    - sleep 1
    - lava-test-case load --shell sh @FOLDER@/oops.sh
"""
OOPS_SH = """\
printf '[   12.345678] Out of memory: Killed process 3 (stress)\\n'
sleep 1
printf '[   12.3456%s] %s\\n' 78 'Internal error: Oops: 96000046 [#1] SMP' 79 'Call trace:' \\
    80 'stress invoked oom-killer: gfp_mask=0x140dca'
"""
HANGS = f"{HEAD}run: {{steps: [lava-test-case hang --shell sleep 1000]}}\n"
BEGINS = f"{HEAD}run: {{steps: [touch @FOLDER@/begun; sleep 1000]}}\n"
BEGINS_BY_COMMAND = {
    "command": "lava_command_run",
    "parameters": {"commands": ["touch @FOLDER@/begun; sleep 1000"], "role": "guest"},
}


@pytest.fixture
def lab(tmp_path: Path, sshd: Server) -> Iterator[Lab]:
    with local_lab(tmp_path, sshd) as made:
        yield made


def test_kernel_panic_of_a_vm_ends_the_group_at_once_and_names_its_test_case(
    lab: Lab, sshd: Server
) -> None:
    document = job(
        entry("crasher"),
        entry("friend"),
        actions=[
            shell_action("meeting.yaml", "host"),
            shell_action("meeting.yaml", "friend"),
            shell_action("panics.yaml", "crasher"),
        ],
    )
    (lab.folder / "panic.sh").write_text(PANIC_SH)

    ended = lab.run(write_job(lab, document, meeting=MEETING, panics=PANICS))

    assert ended.status == 7, ended.stderr
    host, crasher, friend = ended.results["nodes"]
    message = f"the console shows kernel-panic in test case crash: {PANIC}"
    assert crasher["error"]["message"] == message
    assert " sysrq_handle_crash+0x20/0x28" in "\n".join(crasher["error"]["last_lines"])
    assert [case["result"] for case in crasher["runs"][0]["cases"]] == ["pass", "fail"]
    assert [(one["name"], one["test_case"]) for one in crasher["faults"]] == [
        ("kernel-panic", "crash")
    ]
    assert host["error"]["class"] == friend["error"]["class"] == "PeerFailed"
    assert message in " ".join(host["error"]["message"].split())
    assert message in " ".join(ended.stdout.split())
    junit = ElementTree.parse(ended.output / "junit.xml").getroot()
    (case,) = junit.iterfind(".//testcase[@name='crash']")
    assert case.get("classname") == f"{crasher['name']}.t"
    assert "sysrq_handle_crash" in str(case.findtext("failure"))
    assert traces(lab, sshd) == []


@pytest.mark.parametrize(
    ("role", "testing"),
    [
        ("guest", shell_action("begins.yaml", "guest")),
        ("guest", BEGINS_BY_COMMAND),
        ("host", shell_action("begins.yaml", "host")),
    ],
)
def test_connection_that_breaks_off_is_no_verdict_on_the_tests_that_end_with_it(
    tmp_path: Path, sshd: Server, role: str, testing: dict[str, Any]
) -> None:
    with (
        relay(sshd.address.port) as network,
        local_lab(tmp_path, sshd, ssh_port=network.port) as lab,
    ):
        document = job(entry("guest"), actions=[testing])
        process = lab.start(write_job(lab, document, begins=BEGINS))
        until((lab.folder / "begun").exists)

        network.cut()

        ended = lab.finish(process)
    assert ended.status == 4, ended.stderr
    (node,) = (one for one in ended.results["nodes"] if one["role"] == role)
    assert node["error"]["class"] == "LinkLost"
    assert "broke off, and the console with it" in node["error"]["message"]
    assert not [one for run in node["runs"] for one in run["cases"] if one["result"] == "pass"]


def test_guest_that_a_test_starts_on_a_board_may_show_its_firmware(
    tmp_path: Path, sshd: Server
) -> None:
    words = "printf 'U-Boot 2023.01 (Feb 22 2023)\\nEFI stub: Booting Linux Kernel...\\n'"
    commands = [f"{words}; sleep 2", f"{words}; sleep 2; false"]
    document = job(
        entry("guest"),
        actions=[
            {
                "command": "lava_command_run",
                "parameters": {"commands": commands, "role": "host"},
            }
        ],
    )
    document["vm_group"]["host"]["device_type"] = TYPE
    with board_lab(tmp_path, sshd) as lab:
        ended = lab.run(write_job(lab, document))

    assert ended.status == 1, ended.stderr
    host, _ = ended.results["nodes"]
    assert host["faults"] == []
    assert [case["result"] for case in host["runs"][0]["cases"]] == ["pass", "fail"]


def test_panic_of_a_host_that_waits_for_its_vms_ends_all_of_them(
    tmp_path: Path, sshd: Server
) -> None:
    document = job(
        entry("guest"),
        actions=[shell_action("later.yaml", "host"), shell_action("hangs.yaml", "guest")],
    )
    document["vm_group"]["host"]["device_type"] = TYPE
    with board_lab(tmp_path, sshd) as lab:
        (lab.folder / "panic.sh").write_text(PANIC_SH)

        ended = lab.run(write_job(lab, document, later=PANICS_LATER, hangs=HANGS))

        assert ended.status == 4, ended.stderr
        host, guest = ended.results["nodes"]
        assert host["error"]["message"] == f"the console shows kernel-panic: {PANIC}"
        assert guest["error"]["class"] == "PeerFailed"
        assert traces(lab, sshd) == []


def test_kernels_words_on_a_host_behind_ssh_are_a_tests_own(lab: Lab) -> None:
    document = job(entry("guest"), actions=[shell_action("words.yaml", "host")])
    (lab.folder / "other.log").write_text(f"[   12.345678] {PANIC}\n{PANIC}\n")
    steps = [
        'echo "Internal error: no such column"',
        "cat @FOLDER@/other.log",
        "set -x; echo '[   12.345679] Internal error: Oops: 96000046 [#1] SMP'",
    ]
    words = f"{HEAD}run: {{steps: {json.dumps(steps)}}}\n"

    ended = lab.run(write_job(lab, document, words=words))

    assert ended.status == 0, ended.stderr
    assert ended.results["nodes"][0]["faults"] == []


EMERGENCY = """
echo 'ALERT!  /dev/mmcblk1p9 does not exist.  Dropping to a shell!'
export PS1='(initramfs) '
"""


@pytest.mark.parametrize("prompts", [r"root@board:~#", r"\(initramfs\)"])
def test_board_in_its_ramdisks_emergency_shell_is_not_booted(
    tmp_path: Path, sshd: Server, prompts: str
) -> None:
    document = job(entry("guest"), actions=[shell_action("fine.yaml", "host")])
    document["vm_group"]["host"]["device_type"] = TYPE
    with board_lab(tmp_path, sshd, system=EMERGENCY, test_image_prompts=prompts) as lab:
        ended = lab.run(write_job(lab, document, fine=f"{HEAD}run: {{steps: [':']}}\n"))

    assert ended.status == 4, ended.stderr
    host = ended.results["nodes"][0]
    assert host["error"]["message"].startswith("the console shows no-root: ALERT! /dev/mmcblk1p9")
    assert "check root=" in host["error"]["hint"]
    assert [(one["name"], one["severity"]) for one in host["faults"]] == [("no-root", "fatal")]
    assert host["runs"] == []


def test_board_whose_ramdisk_was_deployed_as_the_system_is_booted(
    tmp_path: Path, sshd: Server
) -> None:
    files = {"kernel": "kernel", "ramdisk": "ramdisk"}
    deploy = {"command": "deploy_linaro_kernel", "parameters": {"role": "host", **files}}
    document = job(entry("guest"), actions=[deploy, shell_action("fine.yaml", "host")])
    document["vm_group"]["host"]["device_type"] = TYPE
    keys = {"boot_cmds_ramdisk": "boot", "test_image_prompts": r"\(initramfs\)"}
    with board_lab(tmp_path, sshd, system=EMERGENCY, ramdisk_raw="yes", **keys) as lab:
        for name in files:
            (lab.folder / name).write_bytes(name.encode())

        ended = lab.run(write_job(lab, document, fine=f"{HEAD}run: {{steps: [':']}}\n"))

    assert ended.status == 0, ended.stderr
    host = ended.results["nodes"][0]
    assert [(one["name"], one["severity"]) for one in host["faults"]] == [("no-root", "note")]


def test_vm_in_its_emergency_shell_is_not_booted(lab: Lab) -> None:
    launch = "echo 'You are in emergency mode. After logging in, type'; PS1='guest> ' exec sh -i"
    document = job(entry("guest", launch_with=launch), actions=[shell_action("fine.yaml", "guest")])

    ended = lab.run(write_job(lab, document, fine=f"{HEAD}run: {{steps: [':']}}\n"))

    assert ended.status == 4, ended.stderr
    assert "no-root: You are in emergency mode" in ended.results["nodes"][1]["error"]["message"]


def test_faults_that_nobody_dies_of_fail_test_cases_of_their_own(lab: Lab, sshd: Server) -> None:
    own = {"name": "lost-frames", "pattern": r"lost \d+ frames", "severity": "note"}
    document = job(entry("guest"), actions=[shell_action("oopses.yaml", "guest")])
    document["console_watch"] = {"ignore": ["oom"], "patterns": [own]}
    (lab.folder / "oops.sh").write_text(OOPS_SH)

    ended = lab.run(write_job(lab, document, oopses=OOPSES))

    assert ended.status == 1, ended.stderr
    guest = ended.results["nodes"][1]
    assert {case["name"]: case["result"] for case in guest["runs"][0]["cases"]} == {
        "mine": "pass",
        "load": "pass",
        "lava-console-oops": "fail",
    }
    assert [(one["name"], one["severity"], one["test_case"]) for one in guest["faults"]] == [
        ("lost-frames", "note", "mine"),
        ("oops", "error", "load"),
    ]
    assert traces(lab, sshd) == []


def test_vm_that_falls_silent_ends_while_others_may_wait(lab: Lab, sshd: Server) -> None:
    document = job(
        entry("guest"),
        actions=[shell_action("meeting.yaml", "host"), shell_action("hangs.yaml", "guest")],
    )
    document["console_watch"] = {"silence": 2}

    ended = lab.run(write_job(lab, document, meeting=MEETING, hangs=HANGS))

    assert ended.status == 5, ended.stderr
    host, guest = ended.results["nodes"]
    assert "console_silence), limit 2 s" in guest["error"]["message"]
    assert host["error"]["class"] == "PeerFailed"
    assert traces(lab, sshd) == []
