# SPDX-License-Identifier: MIT
"""Which programs of the dispatcher a node's actions are carried out with."""

from dataclasses import replace
from typing import Any

import pytest

from lava_vmgroup.base.findings import Severity
from lava_vmgroup.job.model import Action, NodeJob
from lava_vmgroup.systems import tools

VM = NodeJob(
    target="vm1",
    role="guest",
    device_type="kvm",
    is_host=False,
    sub_id="0.1",
    group_size=2,
    target_group="group",
    auto_start_vms=True,
    actions=(),
)
HOST = replace(VM, target="board01", is_host=True, sub_id="0.0")
LOOKING_INTO = {"sfdisk", "blkid", "debugfs", "mdir"}


def wanted(job: NodeJob, command: str, parameters: dict[str, Any]) -> set[str]:
    action = Action(command=command, parameters=parameters, place="")
    return {one.what for one in tools.look(replace(job, actions=(action,)))}


@pytest.mark.parametrize(
    ("job", "command", "parameters", "names"),
    [
        (VM, "deploy_linaro_image", {"image": "a.img"}, {"qemu-img"} | LOOKING_INTO),
        (HOST, "deploy_linaro_image", {"image": "a.img"}, set()),
        (HOST, "deploy_linaro_image", {"image": "a.img.zst"}, {"zstd"}),
        (HOST, "deploy_linaro_image", {"image": "a.img.xz"}, {"xz"}),
        (HOST, "deploy_image", {"image": {"url": "scp://u@h/a.qcow2"}}, {"ssh", "qemu-img"}),
        (HOST, "deploy_image", {"image": "a", "customize": {"b": ["rootfs:/c"]}}, LOOKING_INTO),
        (VM, "deploy_linaro_kernel", {"kernel": "k", "rootfs": "r"}, {"qemu-img"} | LOOKING_INTO),
        (VM, "deploy_linaro_kernel", {"kernel": "k", "ramdisk": "r", "password": "a.zst"}, set()),
        (VM, "lava_test_shell", {"testdef_repos": [{"git-repo": "g"}]}, {"git"}),
        (VM, "lava_test_shell", {"testdef_repos": [{"bzr-repo": "lp:b"}]}, {"bzr"}),
        (VM, "lava_test_shell", {"testdef_urls": ["t.yaml"]}, set()),
    ],
)
def test_tools_are_those_of_the_actions(
    job: NodeJob, command: str, parameters: dict[str, Any], names: set[str]
) -> None:
    assert wanted(job, command, parameters) == names


def test_missing_tool_comes_with_its_package_and_fat_is_optional(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_more: None)
    deploy = Action(command="deploy_linaro_image", parameters={"image": "a.img"}, place="")

    found = {one.what: one for one in tools.look(replace(VM, actions=(deploy,)))}

    assert found["debugfs"].severity is Severity.MISSING
    assert found["debugfs"].remedy == "install the package e2fsprogs"
    assert found["mdir"].severity is Severity.DEGRADED
