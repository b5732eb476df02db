# SPDX-License-Identifier: MIT
"""Examples that need a board: its boot, or its KVM."""

from tests.support.examples import nodes_of, run_example
from tests.support.lab import Lab


def test_host_is_rebooted_after_the_vms(lab: Lab) -> None:
    run_example(lab, "after-the-vms")


def test_launch_with_and_shell_prompt(lab: Lab) -> None:
    # Nothing but the job's own shell_prompt finds the prompt.
    types = lab.config / "device-types/kvm-aarch64.conf"
    types.write_text('test_image_prompts = ["never shown"]\n')

    ended = run_example(lab, "launch-with")

    (bare,) = nodes_of(ended, "bare")
    assert "group_ip" not in bare["attributes"]
