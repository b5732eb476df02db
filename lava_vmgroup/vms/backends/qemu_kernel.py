# SPDX-License-Identifier: MIT
"""A VM's kernel, device tree and command line, held against the machine that runs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.config.group_keys import QemuArch
from lava_vmgroup.deploy.device_tree import compatible
from lava_vmgroup.deploy.kernels import check_architecture, identify
from lava_vmgroup.deploy.layers import HEAD
from lava_vmgroup.deploy.root_device import fitted
from lava_vmgroup.job.model import NodeJob
from lava_vmgroup.vms.backends.qemu_command import is_virt
from lava_vmgroup.vms.facts import Arch
from lava_vmgroup.vms.load import Deployed

_VIRT = "linux,dummy-virt"
_NEEDS_TREE = "vexpress-"


def check_kernel(
    kernel: Path, job: NodeJob, config: DeviceConfig, host: Arch | None, log: NodeLog
) -> None:
    """Raise `JobError` for a kernel of another architecture than the VM's.

    `host` is the host's architecture, None before it is known; a VM of the host's architecture is
    checked with it, any other without.  Warns of a kernel in no known format.
    """
    is_like_host = config.qemu_arch is QemuArch.HOST
    if job.launch_with or is_like_host is (host is None):
        return
    with kernel.open("rb") as stream:
        head = stream.read(HEAD)
    architecture = config.qemu_arch.value if host is None else host.value
    check_architecture(head, architecture, kernel.name, job.device_type)
    if identify(head) is None:
        log.warning("kernel", f"{kernel.name} is no kernel in a format that is known")


def fitting_tree(dtb: Path | None, job: NodeJob, config: DeviceConfig, log: NodeLog) -> Path | None:
    """Return the device tree that QEMU gets; None where it makes the right one itself.

    Raises `JobError` if the machine needs one and the job gives none.
    """
    machine = config.qemu_machine
    if job.launch_with:
        return dtb
    if dtb is None:
        if machine.startswith(_NEEDS_TREE):
            raise JobError(
                f"the machine {machine} needs a device tree", hint="give deploy_linaro_kernel a dtb"
            )
        return None
    names = compatible(dtb.read_bytes())
    if not is_virt(machine or "virt") or _VIRT in names:
        return dtb
    log.warning(
        "kernel",
        f"{dtb.name} is left out: it describes {', '.join(names) or 'an unknown machine'}, "
        "and QEMU's virt makes its own device tree",
    )
    return None


def with_right_root(deployed: Deployed, job: NodeJob, log: NodeLog) -> Deployed:
    """Return the deployed system with a root device that the VM has; log each change."""
    if deployed.layout is None or job.launch_with:
        return deployed
    root = None if deployed.root is None else deployed.layout.find(deployed.root)
    has_ramdisk = deployed.initrd is not None
    append, warning = fitted(deployed.append, deployed.layout, root, has_ramdisk=has_ramdisk)
    if warning is not None:
        log.warning("kernel", warning)
    return replace(deployed, append=append)
