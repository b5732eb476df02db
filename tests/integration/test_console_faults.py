# SPDX-License-Identifier: MIT
"""Whole jobs in which consoles show faults, or nothing any more."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.test_whole_jobs import ABSENT, HEAD, MEETING, job
from tests.support.lab import Lab
from tests.support.leftovers import traces
from tests.support.local_lab import entry, local_lab, shell_action, write_job
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


def test_panic_of_a_host_that_waits_for_its_vms_ends_all_of_them(lab: Lab, sshd: Server) -> None:
    document = job(
        entry("guest"),
        actions=[shell_action("later.yaml", "host"), shell_action("absent.yaml", "guest")],
    )
    (lab.folder / "panic.sh").write_text(PANIC_SH)

    ended = lab.run(write_job(lab, document, later=PANICS_LATER, absent=ABSENT))

    assert ended.status == 4, ended.stderr
    host, guest = ended.results["nodes"]
    assert host["error"]["message"] == f"the console shows kernel-panic: {PANIC}"
    assert guest["error"]["class"] == "PeerFailed"
    assert traces(lab, sshd) == []


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
