# SPDX-License-Identifier: MIT
"""What VMs want of their host together."""

from dataclasses import replace
from pathlib import Path

from lava_vmgroup.config import files
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.nodes.fitness import memory_wanted
from lava_vmgroup.nodes.shared import Lab
from tests.unit.nodes.test_tools import HOST, VM
from tests.unit.vms.test_preflight import BOARD


def test_memory_goes_to_needed_vms_first_and_then_in_order(tmp_path: Path) -> None:
    (tmp_path / "device-types").mkdir()
    (tmp_path / "device-types/kvm.conf").write_text("client_type = qemu\nqemu_memory = 100\n")
    lab = Lab(device=None, dispatcher=DispatcherConfig(), search_path=files.search_path(tmp_path))
    first, second = (replace(VM, sub_id=f"0.{number}", optional=True) for number in (1, 2))
    needed = [replace(VM, sub_id=f"0.{number}") for number in (3, 4)]
    launched = replace(VM, sub_id="0.5", launch_with=("qemu",))
    nodes = [HOST, first, second, *needed, launched]

    assert [memory_wanted(vm, nodes, lab, BOARD) for vm in needed] == [200, 200]
    assert [memory_wanted(vm, nodes, lab, BOARD) for vm in (first, second)] == [300, 400]
