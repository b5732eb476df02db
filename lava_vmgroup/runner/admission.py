# SPDX-License-Identifier: MIT
"""The checks of a job that need no device: its files, and the types that the lab has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from lava_vmgroup import actions, boards
from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.config.device import COMMON_KIND, DeviceConfig
from lava_vmgroup.config.inventory import known_devices, load_device, load_vm_type
from lava_vmgroup.job.model import Job, VMGroup
from lava_vmgroup.job.schema import VM_TYPES


def admit_job(job: Job, search_path: tuple[Path, ...], device: DeviceConfig | None = None) -> None:
    """Check a job's files and types; if the host's `device` is chosen, its type needs no file.

    Raises a `JobError` with all problems, and `ConfigurationError` if a type's configuration is
    wrong or no driver can boot a host of its type.
    """
    types = [*_vm_types(job)]
    if device is None:
        types.insert(0, ("vm_group.host.device_type", job.host.device_type))
    _refuse([*actions.file_problems(job), *_type_problems(types, search_path)])
    _check_drivers(job.host.device_type, search_path, device)


def admit_sub_job(
    group: VMGroup, search_path: tuple[Path, ...], device: DeviceConfig | None = None
) -> None:
    """Check the files and the type of a sub-job, as `admit_job` does."""
    [node] = group.nodes
    types = [("device_type" if node.is_host else "config", node.device_type)]
    wanted = types if device is None else []
    _refuse([*actions.sub_job_problems(group), *_type_problems(wanted, search_path)])
    if node.is_host:
        _check_drivers(node.device_type, search_path, device)


def _check_drivers(
    host_type: str, search_path: tuple[Path, ...], device: DeviceConfig | None
) -> None:
    """Check that `device`, or else a device of the type, has a driver.

    Raises the error of the last one if none has.
    """
    if device is not None:
        boards.driver_class(device)
        return
    names = [name for name, kind in known_devices(search_path).items() if kind == host_type]
    configs = [partial(load_device, name, search_path) for name in names]
    error: ConfigurationError | None = None
    for load in configs or [partial(load_vm_type, host_type, search_path)]:
        try:
            boards.driver_class(load())
        except ConfigurationError as refused:
            error = refused
        else:
            return
    if error is not None:
        raise error


def _refuse(problems: list[str]) -> None:
    if problems:
        raise JobError("the job is not valid", problems=problems)


def _type_problems(
    types: Iterable[tuple[str, str]], search_path: tuple[Path, ...]
) -> Iterator[str]:
    """Yield a problem for each device type that the lab does not have.

    Raises `ConfigurationError` for a VM's type that names no kind of VM.
    """
    for place, name in types:
        try:
            config = load_vm_type(name, search_path)
        except JobError as error:
            yield f"{place}: {error.message}; {error.hint}"
            continue
        if name in VM_TYPES and config.client_type != COMMON_KIND:
            # Most jobs are checked without what runs them.
            from lava_vmgroup.vms import backends

            backends.check(config)


def _vm_types(job: Job) -> Iterator[tuple[str, str]]:
    for index, vm in enumerate(job.vms):
        yield f"vm_group.vms[{index}].device_type", vm.device_type
