# SPDX-License-Identifier: MIT
"""``deploy_linaro_kernel``: kernel, ramdisk, device tree and root file system as single files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.config.settings import DEPLOY_PARAMETERS, DeploySettings, deploy_problems
from lava_vmgroup.deploy.fetch import reference_problems
from lava_vmgroup.deploy.overlays import Overlay, with_overlays
from lava_vmgroup.deploy.tftp import KernelFiles
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.model import Action, Scope
from lava_vmgroup.job.reference import FILE_SCHEMA, FileReference

if TYPE_CHECKING:
    from lava_vmgroup.nodes.node import Node

ALIASES = ("deploy_kernel",)

_VM_FILES = {"rootfs": Unpack.DISK, "firmware": Unpack.NEVER}
_BOARD_FILES = dict.fromkeys(("nfsrootfs", "bootloader", "bl0", "bl1", "bl2", "bl31"), Unpack.NEVER)
_FILES = {
    "kernel": Unpack.KERNEL,
    "ramdisk": Unpack.NEVER,
    "dtb": Unpack.KERNEL,
    **_VM_FILES,
    **_BOARD_FILES,
}
_LISTS = {"overlays": Unpack.NEVER, "qemu_pflash": Unpack.NEVER, "dtbo": Unpack.KERNEL}
_PARTITIONS = ("boot_part", "root_part")

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(_FILES, FILE_SCHEMA),
        **{name: {"type": "array", "minItems": 1, "items": FILE_SCHEMA} for name in _LISTS},
        **{name: kind for name, kind in DEPLOY_PARAMETERS.items() if name not in _PARTITIONS},
    },
}


def check(action: Action, scope: Scope) -> Iterator[str]:
    """Yield a problem for each missing file, and for files that do not go together."""
    parameters = action.parameters
    yield from deploy_problems(parameters)
    for name, reference in _references(action):
        for problem in reference_problems(reference, scope.folder, _FILES[name]):
            yield f"{name}: {problem}"
    for name in _LISTS:
        for index, value in enumerate(parameters.get(name, ())):
            for problem in reference_problems(FileReference.of(value), scope.folder, _LISTS[name]):
                yield f"{name}[{index}]: {problem}"
    if "overlays" in parameters and not {"ramdisk", "nfsrootfs"} & parameters.keys():
        yield "overlays: they are put into the ramdisk, and there is none; give a ramdisk"
    if "dtbo" in parameters and "dtb" not in parameters:
        yield "dtbo: overlays of the device tree need one to be laid over; give a dtb"
    if scope.on_host:
        yield from _host_problems(parameters)
    if scope.on_vms:
        yield from _vm_problems(parameters)


def _host_problems(parameters: Mapping[str, Any]) -> Iterator[str]:
    if "kernel" not in parameters:
        yield "kernel: missing; the host needs it"
    if "rootfs" in parameters:
        yield "rootfs: only virtual machines take a disk image beside their kernel"
    for name in ("firmware", "qemu_pflash"):
        if name in parameters:
            yield f"{name}: only virtual machines have it; give the action the role of a VM"


def _vm_problems(parameters: Mapping[str, Any]) -> Iterator[str]:
    by_firmware = "firmware" in parameters or "qemu_pflash" in parameters
    if "kernel" not in parameters and not by_firmware:
        yield "kernel: missing; a virtual machine needs a kernel, a firmware or qemu_pflash"
    if "rootfs" not in parameters and "ramdisk" not in parameters:
        yield "rootfs: missing; a virtual machine needs a rootfs or a ramdisk"
    if "firmware" in parameters and "qemu_pflash" in parameters:
        yield "firmware: qemu_pflash holds the firmware already; give one of the two"
    if parameters.get("bootloadertype") == "uefi" and not by_firmware:
        yield "bootloadertype: uefi needs firmware or qemu_pflash"
    for name in (*_BOARD_FILES, "dtbo"):
        if name in parameters:
            yield f"{name}: only a host takes it; give the action the host's role"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Fetch the files and put them where the node's next boot finds them."""
    node.configure(DeploySettings.of(action.parameters))
    files = {
        name: node.shared.files.fetch(reference, deadline, node.log, _FILES[name])
        for name, reference in _references(action)
    }
    overlays = [
        Overlay(path=path, name=reference.name)
        for reference, path in _fetched("overlays", action, node, deadline)
    ]
    if overlays and "ramdisk" in files:
        ramdisk = files["ramdisk"]
        files["ramdisk"] = node.shared.files.derive(
            (ramdisk.resolve(), *overlays),
            ramdisk.name,
            lambda target: with_overlays(ramdisk, overlays, target, deadline),
            deadline,
        )
        overlays = []
    kernel_files = KernelFiles(
        **files,
        dtbos=tuple(path for _, path in _fetched("dtbo", action, node, deadline)),
        pflash=tuple(path for _, path in _fetched("qemu_pflash", action, node, deadline)),
        nfs_overlays=tuple(overlay.path for overlay in overlays),
    )
    node.deploy_kernel(kernel_files, deadline)


def _fetched(
    name: str, action: Action, node: Node, deadline: Deadline
) -> Iterator[tuple[FileReference, Path]]:
    for value in action.parameters.get(name, ()):
        reference = FileReference.of(value)
        yield reference, node.shared.files.fetch(reference, deadline, node.log, _LISTS[name])


def _references(action: Action) -> Iterator[tuple[str, FileReference]]:
    for name in _FILES:
        if name in action.parameters:
            yield name, FileReference.of(action.parameters[name])
