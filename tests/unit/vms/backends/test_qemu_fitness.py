# SPDX-License-Identifier: MIT
"""The needs of all VMs of a host together."""

from dataclasses import replace
from pathlib import Path

import pytest

from lava_vmgroup.config import files
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.job.requires import parse_requirements
from lava_vmgroup.vms.backends.qemu_fitness import memory_wanted
from tests.unit.systems.test_tools import HOST, VM
from tests.unit.vms.backends.test_qemu_preflight import BOARD


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "device-types").mkdir()
    (tmp_path / "device-types/kvm.conf").write_text("client_type = qemu\nqemu_memory = 100\n")
    return Lab(device=None, dispatcher=DispatcherConfig(), search_path=files.search_path(tmp_path))


def test_memory_goes_to_needed_vms_first_and_then_in_order(lab: Lab) -> None:
    first, second = (replace(VM, sub_id=f"0.{number}", optional=True) for number in (1, 2))
    needed = [replace(VM, sub_id=f"0.{number}") for number in (3, 4)]
    launched = replace(VM, sub_id="0.5", launch_with=("qemu",))
    nodes = [HOST, first, second, *needed, launched]

    assert [memory_wanted(vm, nodes, lab, BOARD) for vm in needed] == [200, 200]
    assert [memory_wanted(vm, nodes, lab, BOARD) for vm in (first, second)] == [300, 400]


def test_memory_of_a_vm_that_is_not_launched_for_what_it_requires_is_left_to_the_others(
    lab: Lab,
) -> None:
    launched, skipped = (
        replace(VM, sub_id=f"0.{number}", requires=parse_requirements([word]))
        for number, word in enumerate(["kvm", "file:/nothing"], start=1)
    )

    assert memory_wanted(launched, [HOST, launched, skipped], lab, BOARD) == 100
