# SPDX-License-Identifier: MIT
"""Examples that need a board: its boot, or its KVM.

Jobs that do not test the board's boot share a board that is up.
"""

import re

from tests.e2e.conftest import UpLab
from tests.support.examples import nodes_of, run_example
from tests.support.lab import Lab


def test_host_is_rebooted_after_the_vms(lab: Lab) -> None:
    run_example(lab, "after-the-vms")


def test_launch_with_and_shell_prompt(up_lab: UpLab) -> None:
    # Nothing but the job's own shell_prompt finds the prompt.
    types = up_lab.config / "device-types/kvm-aarch64.conf"
    types.write_text('test_image_prompts = ["never shown"]\n')

    ended = run_example(up_lab, "launch-with")

    (bare,) = nodes_of(ended, "bare")
    assert "group_ip" not in bare["attributes"]


def test_measured_throughput_between_vms_of_three_kinds(up_lab: UpLab) -> None:
    ended = run_example(up_lab, "client-server")

    kinds = {node["device_type"] for node in ended.results["nodes"] if not node["is_host"]}
    assert kinds == {"kvm-arm", "kvm-aarch64", "kvm-aarch32"}
    (client,) = nodes_of(ended, "client")
    cases = {case["name"]: case for run in client["runs"] for case in run["cases"]}
    assert cases["received"]["measurement"] == str(2 << 20)
    assert cases["throughput"]["units"] == "MiB/s"
    assert re.fullmatch(r"\d+\.\d\d", cases["throughput"]["measurement"])
    assert (
        f'"measurement": "{cases["throughput"]["measurement"]}"'
        in (ended.output / "bundle.json").read_text()
    )
