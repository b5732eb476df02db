# SPDX-License-Identifier: MIT
"""A valid job, and jobs with one place changed."""

import copy
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup import actions
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.job.model import Job
from lava_vmgroup.job.parse import parse_job

VALID: dict[str, Any] = {
    "timeout": 18000,
    "job_name": "basic",
    "vm_group": {
        "host": {"device_type": "arndale", "role": "host"},
        "vms": [
            {"device_type": "kvm-arm", "role": "server"},
            {"device_type": "kvm-arm", "role": "client"},
        ],
    },
    "actions": [
        {"command": "deploy_linaro_image", "parameters": {"image": "h.img", "role": "host"}},
        {"command": "deploy_linaro_image", "parameters": {"image": "c.img", "role": "client"}},
        {"command": "deploy_linaro_image", "parameters": {"image": "s.img", "role": "server"}},
        {"command": "lava_test_shell", "parameters": {"testdef_urls": ["t.yaml"]}},
    ],
}


def parse(document: Any) -> Job:
    return parse_job(document, Path("/jobs"), actions.parameter_schemas())


def changed(path: str, value: Any) -> dict[str, Any]:
    """The valid job with one place changed; a path is like ``vm_group.vms.0.count``."""
    document = copy.deepcopy(VALID)
    *parents, last = path.split(".")
    at: Any = document
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at[part]
    if isinstance(at, list):
        at[int(last)] = value
    elif value is None:
        del at[last]
    else:
        at[last] = value
    return document


def problems(document: Any) -> tuple[str, ...]:
    with pytest.raises(JobError) as caught:
        parse(document)
    return caught.value.problems
