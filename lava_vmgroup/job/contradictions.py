# SPDX-License-Identifier: MIT
"""Checks for parts of a job that are valid by themselves but contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lava_vmgroup.base.console_faults import NAMES
from lava_vmgroup.base.user_pattern import expression_problem, fits_no_text
from lava_vmgroup.job.model import WantedAccelerator
from lava_vmgroup.job.requires import Kind, parse_requirements, word_problems
from lava_vmgroup.job.schema import MAX_VMS

_BOOTING = ("boot_linaro_image", "boot_image", "lava_test_shell", "lava_command_run")


def contradictions(document: Mapping[str, Any]) -> list[str]:
    """Return the contradictions in a job whose every part is valid by the schema."""
    found = [*watch_problems(document)]
    found += wish_problems("vm_group.host", document["vm_group"]["host"])
    vms = document["vm_group"]["vms"]
    total = sum(vm.get("count", 1) for vm in vms)
    if total > MAX_VMS:
        found.append(f"vm_group.vms: {total} VMs in all, expected at most {MAX_VMS}")
    for index, vm in enumerate(vms):
        place = f"vm_group.vms[{index}]"
        if "shell_prompt" in vm:
            found += expression_problems(f"{place}.shell_prompt", vm["shell_prompt"])
        found += wish_problems(place, vm)
        found += _image_problems(place, vm, document["actions"])
    return found


def wish_problems(place: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems of ``requires`` and ``accelerator`` in a node's `entry` at `place`."""
    prefix = f"{place}." if place else ""
    requires = entry.get("requires", ())
    bad = list(word_problems(f"{prefix}requires", requires))
    yield from bad
    if "requires_policy" in entry and "requires" not in entry:
        yield f"{prefix}requires_policy: there is no requires beside it; add one, or remove it"
    accelerator = WantedAccelerator(entry.get("accelerator", WantedAccelerator.ANY.value))
    if accelerator is WantedAccelerator.ANY or bad:
        return
    if "launch_with" in entry:
        yield (
            f"{prefix}accelerator: launch_with starts the VM, and only its commands decide how it "
            "is run; remove one of them"
        )
    kinds = {one.kind for one in parse_requirements(requires)}
    if accelerator is WantedAccelerator.TCG and Kind.KVM in kinds:
        yield (
            f"{prefix}accelerator: tcg never uses KVM, which {prefix}requires asks for; remove one "
            "of them"
        )


def watch_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems in the ``console_watch`` of a job or a sub-job."""
    taken = set(NAMES)
    for index, own in enumerate(document.get("console_watch", {}).get("patterns", ())):
        place = f"console_watch.patterns[{index}]"
        if own["name"] in taken:
            yield f"{place}.name: {own['name']!r} is taken; give the pattern a name of its own"
        taken.add(own["name"])
        yield from expression_problems(f"{place}.pattern", own["pattern"])


def expression_problems(place: str, text: str) -> Iterator[str]:
    """Yield the reason if `text` cannot be searched for on a console.

    An expression that fits the empty text would fit everywhere.
    """
    problem = expression_problem(text)
    if problem is not None:
        yield f"{place}: {problem}"
    elif fits_no_text(text):
        yield f"{place}: expected an expression for some text; {text!r} fits where there is none"


def _image_problems(
    place: str, vm: Mapping[str, Any], actions: list[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield the problems of a VM's image: two different ones, or none before its first boot."""
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
