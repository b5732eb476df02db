# SPDX-License-Identifier: MIT
"""Real kernels that panic or are reset in a test end their nodes at once."""

from typing import Any
from xml.etree import ElementTree

from tests.e2e.test_vm_group import group
from tests.support.lab import IMAGES, Lab

VM_CRASHES = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: vm-crashes, description: panics}
run:
  steps:
    # The last lines before a system dies may still be on their way.
    - lava-test-case before --result pass
    - lava-test-case vm-crash --shell 'sh -c "sleep 1; echo c >/proc/sysrq-trigger"'
"""

HOST_CRASHES = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: host-crashes, description: panics}
run:
  steps:
    - until [ -e "$(echo /lava-vm-images/*/vm1-job0.1)" ]; do sleep 1; done
    - while [ -e "$(echo /lava-vm-images/*/vm1-job0.1)" ]; do sleep 1; done
    - lava-test-case host-crash --shell 'sh -c "sleep 1; echo c >/proc/sysrq-trigger"'
"""

HOST_REBOOTS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: host-reboots, description: resets}
run:
  steps:
    - lava-wait running
    - lava-test-case host-reboot --shell 'sh -c "sleep 1; echo b >/proc/sysrq-trigger"'
"""

VM_RUNS = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: vm-runs, description: never ends}
run:
  steps:
    - lava-send running
    - lava-test-case hang --shell sleep 1000
"""

KERNEL_TALKS = "(for n in $(seq 400); do echo torn $n >/dev/kmsg; sleep 0.02; done) &"
"""The kernel writes this to the console while the commands after it run."""

VERDICTS = {KERNEL_TALKS: "pass", "true": "pass", "false": "fail", ":": "pass", "(exit 7)": "fail"}

PANIC = "Kernel panic - not syncing: sysrq triggered crash"


def shell(testdef: str, role: str) -> dict[str, Any]:
    return {
        "command": "lava_test_shell",
        "parameters": {"testdef_urls": [testdef], "role": role},
    }


def commands(role: str) -> dict[str, Any]:
    return {
        "command": "lava_command_run",
        "parameters": {"commands": list(VERDICTS), "role": role},
    }


def verdicts(node: dict[str, Any]) -> dict[str, str]:
    (run,) = (run for run in node["runs"] if run["name"] == "lava-command")
    return {case["name"]: case["result"] for case in run["cases"]}


def test_panics_end_their_nodes_and_are_told_with_their_test_cases(lab: Lab) -> None:
    image = str(IMAGES / "vm-armhf.img")
    job = group({"role": "guest", "device_type": "kvm-aarch32", "image": image})
    job["actions"][1:] = [
        commands("guest"),
        shell("host.yaml", "host"),
        shell("testdef.yaml", "guest"),
    ]
    (lab.folder / "host.yaml").write_text(HOST_CRASHES)

    ended = lab.run(lab.write_job(job, VM_CRASHES))

    assert ended.status == 7, ended.stderr
    junit = ElementTree.parse(ended.output / "junit.xml").getroot()
    for node, name in zip(ended.results["nodes"], ("host-crash", "vm-crash"), strict=True):
        message = f"the console shows kernel-panic in test case {name}: {PANIC}"
        assert node["error"]["message"] == message
        assert node["error"]["class"] == "TestError"
        assert any(PANIC in line for line in node["error"]["last_lines"])
        assert [one["name"] for one in node["faults"]] == ["kernel-panic"]
        (case,) = junit.iterfind(f".//testcase[@name='{name}']")
        assert PANIC in str(case.findtext("failure"))
        assert message in " ".join(ended.stdout.split())
    guest = ended.results["nodes"][1]
    assert verdicts(guest) == VERDICTS
    assert guest["attributes"]["accelerator"] == "kvm"
    events = [one for one in ended.events if one["kind"] in ("console", "error")]
    assert [one["kind"] for one in events] == ["console", "error"] * 2


def test_host_that_reboots_in_a_test_ends_the_group_with_its_boot_loaders_words(lab: Lab) -> None:
    shell_of_host = {"shell_prompt": "guest> ", "launch_with": "PS1='guest> ' exec sh -i"}
    job = group({"role": "guest", **shell_of_host})
    del job["vm_group"]["vms"][0]["image"]
    job["actions"][1:] = [
        commands("host"),
        shell("host.yaml", "host"),
        shell("testdef.yaml", "guest"),
    ]
    (lab.folder / "host.yaml").write_text(HOST_REBOOTS)

    ended = lab.run(lab.write_job(job, VM_RUNS))

    assert ended.status == 7, ended.stderr
    host, guest = ended.results["nodes"]
    assert verdicts(host) == VERDICTS
    assert host["error"]["class"] == "TestError"
    assert "the console shows reset in test case host-reboot: U-Boot" in host["error"]["message"]
    assert [one["name"] for one in host["faults"]] == ["reset"]
    assert guest["error"]["class"] == "PeerFailed"
    assert [node["state"] for node in (host, guest)] == ["Incomplete"] * 2
