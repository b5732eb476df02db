# SPDX-License-Identifier: MIT
"""Names that LAVA v1 knew and that are refused here, each with the reason and the remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SUB_JOB = "only a sub-job of a group has it, together with target_group; remove it"

TOP_LEVEL: Mapping[str, str] = {
    "device_type": "the host's type stands in vm_group.host.device_type; move it there",
    "target": "the job does not choose its device: name it by --target on the command line, "
    "and its type in vm_group.host.device_type",
    "device_group": "device_group is not a VM group: describe the nodes in vm_group",
    "is_slave": "is_slave is for boards that share a JTAG probe, not for VM groups; remove it",
    "lmp_module": "Linaro's LMP modules are not supported; remove it",
    "auto_start_vms": "auto_start_vms stands in vm_group; move it there",
    "is_vmhost": _SUB_JOB,
    "group_size": _SUB_JOB,
    "role": _SUB_JOB,
    "sub_id": _SUB_JOB,
}
"""Refused keys of the job itself."""

PARAMETERS: Mapping[str, str] = {
    "repeat_count": "the repetitions are counted for you; remove it",
    "hwpack": "hwpack needs linaro-media-create, which no longer exists: give a complete image",
    "sim_options": "simulators (Fast Models) are not supported; remove it",
    "fastboot_command_timeout": "Android devices are not supported; remove it",
    "adb_command_timeout": "Android devices are not supported; remove it",
}
"""Refused parameters of actions."""

_COMMANDS: tuple[tuple[str, str], ...] = (
    (
        r"deploy_linaro_android_image|boot_linaro_android_image|lava_android_\w+",
        "Android devices are not supported",
    ),
    (r"lmp_\w+", "Linaro's LMP modules are not supported"),
    (r"deploy_lxc_image", "containers are not supported; VMs are described in vm_group"),
    (
        r"lava_test_install|lava_test_run|add_apt_repository",
        "the LAVA test suites of old are not supported; use lava_test_shell",
    ),
    (
        r"boot_master_image",
        "a board's master image is booted where a deployment needs it; remove this action",
    ),
)


def command_refusal(command: str) -> str | None:
    """Return the reason for which a command of LAVA v1 is refused, or None for any other name."""
    for pattern, reason in _COMMANDS:
        if re.fullmatch(pattern, command):
            return reason
    return None
