# SPDX-License-Identifier: MIT
"""The deploy actions' way from the files that a job names to those that a node takes."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lava_vmgroup import actions
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.filesystems import file_system, partitions
from lava_vmgroup.job.model import Action
from lava_vmgroup.job.parse import parse_job
from tests.support.disk_images import two_partitions


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Mock]:
    """A host that only takes what it is given."""
    config = DispatcherConfig(lava_cachedir=tmp_path / "cache")
    with JobFiles(tmp_path, config, tmp_path / "work") as files:
        node = Mock(log=NodeLog("board01"))
        node.shared.files = files
        lab = DeviceConfig(root_part=1)
        node.configure = lambda settings: setattr(node, "config", settings.over(lab))
        yield node


def run(command: str, node: Mock, **parameters: Any) -> Any:
    """Run an action; gives what the node was given."""
    action = Action(command=command, parameters=parameters, place="actions[0]")
    actions.commands()[command].run(action, node, soon())
    return getattr(node, command.replace("_linaro", "")).call_args.args[0]


def problems(folder: Path, command: str, **parameters: Any) -> list[str]:
    document = {
        "timeout": 60,
        "vm_group": {
            "host": {"device_type": "board"},
            "vms": [{"device_type": "kvm-arm", "role": "guest"}],
        },
        "actions": [{"command": command, "parameters": {"role": "guest", **parameters}}],
    }
    return list(actions.file_problems(parse_job(document, folder, actions.parameter_schemas())))


@pytest.mark.parametrize(("parameters", "partition"), [({}, 1), ({"root_part": 2}, 2)])
def test_root_partition_is_the_actions_else_the_configurations(
    parameters: dict[str, int], partition: int, node: Mock, tmp_path: Path
) -> None:
    image = two_partitions(tmp_path)
    (tmp_path / "x").write_text("x")

    spec = {"x": ["rootfs:/x"]}
    made = run("deploy_linaro_image", node, image=image.name, customize=spec, **parameters)

    files = file_system(made, partitions(made, soon())[partition], soon())
    assert files is not None
    assert files.read("/x") == b"x"


def test_overlays_are_added_to_the_ramdisk_once_for_all_nodes(node: Mock, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "o.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("opt/from-overlay")
        info.size = 7
        archive.addfile(info, io.BytesIO(b"content"))
    (tmp_path / "kernel").write_bytes(b"kernel")
    (tmp_path / "initrd.gz").write_bytes(gzip.compress(b"ramdisk"))
    parameters = {"kernel": "kernel", "ramdisk": "initrd.gz", "overlays": ["o.tgz"]}

    first = run("deploy_linaro_kernel", node, **parameters)
    second = run("deploy_linaro_kernel", node, **parameters)

    assert first.kernel == tmp_path / "kernel"
    assert b"opt/from-overlay" in first.ramdisk.read_bytes()
    assert first.ramdisk == second.ramdisk


def test_problems_of_files_are_told_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")

    kernel = problems(tmp_path, "deploy_linaro_kernel", kernel="kernel", overlays=[{"url": "none"}])
    image = problems(tmp_path, "deploy_linaro_image", image="kernel", customize={"x": ["y"]})

    assert any("actions[0].parameters.overlays[0]: cannot read" in line for line in kernel)
    assert any("overlays: they are put into the ramdisk" in line for line in kernel)
    assert any("actions[0].parameters.customize: 'x': cannot read" in line for line in image)
    assert any("customize: 'x': expected boot:/PATH" in line for line in image)
