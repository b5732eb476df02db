# SPDX-License-Identifier: MIT
"""The example that boots its board again."""

from tests.support.examples import run_example
from tests.support.lab import Lab


def test_host_is_rebooted_after_the_vms(lab: Lab) -> None:
    run_example(lab, "after-the-vms")
