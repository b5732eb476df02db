# SPDX-License-Identifier: MIT
"""A group of a board and one VM, up to the moment in which its nodes are made."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup import actions
from lava_vmgroup.config import files
from lava_vmgroup.config.coordinator import Endpoint
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.config.lab import Lab
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.job.expansion import expand
from lava_vmgroup.job.parse import parse_job
from lava_vmgroup.nodes.shared import Shared
from lava_vmgroup.runner.group import GroupRun
from lava_vmgroup.runner.outputs import Outputs
from tests.unit.nodes.played import PlayedClient

VM_TYPE = "client_type = qemu\nqemu_networks =\n"

MakeShared = Callable[..., Shared]


@pytest.fixture
def make_shared(tmp_path: Path) -> MakeShared:
    """Makes what the nodes of a group share, from the VM's type and more of the group."""

    def make(vm_type: str = VM_TYPE, **more: Any) -> Shared:
        (tmp_path / "device-types").mkdir()
        (tmp_path / "device-types/kvm.conf").write_text(vm_type)
        lab = Lab(
            device=DeviceConfig(hostname="board01", client_type="bootloader"),
            dispatcher=DispatcherConfig(),
            search_path=files.search_path(tmp_path),
        )
        job = parse_job(_document(more), tmp_path, actions.parameter_schemas())
        group = expand(job, job_id="1", target_group="group")
        run = GroupRun(group, lab, "1", Outputs(folder=tmp_path / "out"))
        job_files = JobFiles(tmp_path, lab.dispatcher, tmp_path / "files")
        return run._share(tmp_path, job_files, Endpoint(host="127.0.0.1", port=1))

    return make


def _document(more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "timeout": 60,
        "vm_group": {
            "host": {"device_type": "board", "role": "host"},
            "vms": [{"device_type": "kvm", "role": "guest"}],
            **more,
        },
        "actions": [
            {"command": "deploy_linaro_image", "parameters": {"image": "vm.img", "role": role}}
            for role in ("host", "guest")
        ],
    }


@pytest.fixture
def calls() -> list[str]:
    """The calls of played parts, in their order."""
    return []


@pytest.fixture
def client(calls: list[str]) -> PlayedClient:
    return PlayedClient(calls)
