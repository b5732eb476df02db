# SPDX-License-Identifier: MIT
"""``deploy_linaro_image``: a complete disk image for a host or a virtual machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.config.settings import DEPLOY_PARAMETERS, DeploySettings, deploy_problems
from lava_vmgroup.deploy import customize
from lava_vmgroup.deploy.fetch import reference_problems
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.model import Action, Scope
from lava_vmgroup.job.reference import FILE_SCHEMA, FileReference

if TYPE_CHECKING:
    from lava_vmgroup.nodes.node import Node

ALIASES = ("deploy_image",)

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": FILE_SCHEMA,
        "customize": customize.SCHEMA,
        "qemu_pflash": {"type": "array", "minItems": 1, "items": FILE_SCHEMA},
        "dtb": FILE_SCHEMA,
        **DEPLOY_PARAMETERS,
    },
}


def check(action: Action, scope: Scope) -> Iterator[str]:
    """Yield a problem for each missing file, and for settings that do not fit together."""
    yield from deploy_problems(action.parameters)
    if "dtb" in action.parameters:
        yield "dtb: an image brings its own device tree; use deploy_linaro_kernel to give one"
    for index, value in enumerate(action.parameters.get("qemu_pflash", ())):
        for problem in reference_problems(FileReference.of(value), scope.folder):
            yield f"qemu_pflash[{index}]: {problem}"
    if "qemu_pflash" in action.parameters and scope.on_host:
        yield "qemu_pflash: only virtual machines have it; give the action the role of a VM"
    image = FileReference.of(action.parameters["image"])
    for problem in reference_problems(image, scope.folder, Unpack.DISK):
        yield f"image: {problem}"
    for problem in customize.problems(action.parameters.get("customize", {}), scope.folder):
        yield f"customize: {problem}"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Fetch the image, customize it, and put it where the node's next boot finds it."""
    node.configure(DeploySettings.of(action.parameters))
    reference = FileReference.of(action.parameters["image"])
    image = node.shared.files.fetch(reference, deadline, node.log, Unpack.DISK)
    if changes := customize.changes_of(action.parameters.get("customize", {})):
        wanted = customize.Customization(changes=changes, numbers=_partitions(node))
        image = customize.customized(image, wanted, node.shared.files, deadline, node.log)
    pflash = [
        node.shared.files.fetch(FileReference.of(value), deadline, node.log)
        for value in action.parameters.get("qemu_pflash", ())
    ]
    node.deploy_image(image, deadline, pflash)


def _partitions(node: Node) -> customize.Partitions:
    config = node.config
    return customize.Partitions(boot=config.boot_part, rootfs=config.root_part)
