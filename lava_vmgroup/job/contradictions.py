# SPDX-License-Identifier: MIT
"""Parts of a job that are right by themselves and do not fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.job.schema import MAX_VMS
from lava_vmgroup.testshell.pattern import expression_problem

_BOOTING = ("boot_linaro_image", "boot_image", "lava_test_shell", "lava_command_run")


def contradictions(document: Mapping[str, Any]) -> list[str]:
    """What does not fit together in a job whose every part has the right shape."""
    found = []
    vms = document["vm_group"]["vms"]
    total = sum(vm.get("count", 1) for vm in vms)
    if total > MAX_VMS:
        found.append(f"vm_group.vms: {total} VMs in all, expected at most {MAX_VMS}")
    for index, vm in enumerate(vms):
        place = f"vm_group.vms[{index}]"
        if "shell_prompt" in vm:
            found += prompt_problems(f"{place}.shell_prompt", vm["shell_prompt"])
        found += _image_problems(place, vm, document["actions"])
    return found


def prompt_problems(place: str, prompt: str) -> Iterator[str]:
    problem = expression_problem(prompt)
    if problem is not None:
        yield f"{place}: {problem}"
    elif re.search(prompt, ""):
        yield f"{place}: expected an expression for some text; {prompt!r} fits where there is none"


def _image_problems(
    place: str, vm: Mapping[str, Any], actions: list[Mapping[str, Any]]
) -> Iterator[str]:
    """Whether it is clear, and in time, what a VM boots."""
    image = vm.get("image")
    deployed = image is not None or "launch_with" in vm
    for index, action in enumerate(actions):
        parameters, command = action.get("parameters", {}), action["command"]
        if parameters.get("role", vm["role"]) != vm["role"]:
            continue
        if command.startswith("deploy_"):
            deployed = True
            given = parameters.get("image", parameters.get("rootfs"))
            if image not in (None, given):
                yield (
                    f"{place}.image: actions[{index}] ({command}) deploys something else on "
                    f"role {vm['role']!r}; remove one of them"
                )
        elif command in _BOOTING and not deployed:
            yield (
                f"actions[{index}]: {place} (role {vm['role']!r}) has nothing to boot yet; "
                f"put a deploy action for the role before, or give {place}.image"
            )
            return
