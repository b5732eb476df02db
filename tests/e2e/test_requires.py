# SPDX-License-Identifier: MIT
"""A board without virtualization skips a job that requires it, in its kernel's own words."""

from pathlib import Path

import pytest

from tests.e2e.test_vm_group import group
from tests.support.lab import lab as make_lab

NEVER_RUN = """\
metadata: {format: Lava-Test-Shell Test Definition 1.0, name: never-run, description: passes}
run: {steps: [lava-test-case passes --result pass]}
"""


@pytest.mark.usefixtures("images")
def test_board_without_el2_skips_the_group_with_its_kernels_words(tmp_path: Path) -> None:
    job = group({"role": "guest"})
    job["vm_group"]["host"]["requires"] = ["arch:aarch64", "gic:3", "cpus>=2", "kvm", "el2"]

    with make_lab(tmp_path, "--without-el2") as lab:
        ended = lab.run(lab.write_job(job, NEVER_RUN))
        assert lab.traces() == []

    assert ended.status == 0, ended.stderr
    host, vm = ended.results["nodes"]
    assert [host["state"], vm["state"]] == ["Skipped", "Skipped"]
    assert host["skipped"] == (
        "requires kvm: /dev/kvm is missing; the kernel says: HYP mode not available; "
        "requires el2: the kernel says: CPU: All CPU(s) started at EL1"
    )
    assert vm["skipped"] == f"the host is skipped: {host['skipped']}"
    assert [node["counts"]["pass"] for node in (host, vm)] == [0, 0]
    assert ended.results["uploads"] == []
