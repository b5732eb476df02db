# SPDX-License-Identifier: MIT
"""A command that touches no device does not wait for the libraries that do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "broken/files"
TESTDEF = Path(__file__).parents[3] / "examples/vm-group/testdef.yaml"
JOB = {
    "timeout": 600,
    "vm_group": {
        "host": {"device_type": "arndale"},
        "vms": [{"device_type": "kvm-arm", "role": "client", "image": str(FILES / "disk.img")}],
    },
    "actions": [
        {
            "command": "deploy_linaro_image",
            "parameters": {"image": str(FILES / "disk.img"), "role": "host"},
        },
        {
            "command": "lava_test_shell",
            "parameters": {"testdef_urls": [str(TESTDEF)]},
        },
    ],
}
DEVICES = {
    "paramiko",
    "requests",
    "rich",
    "asyncio",
    "lava_vmgroup.nodes",
    "lava_vmgroup.runner.group",
}
ALL = {
    *DEVICES,
    "jsonschema",
    "yaml",
    "regex",
    "pexpect",
    "lava_vmgroup.actions",
    "lava_vmgroup.job",
}


def imported(*words: str) -> set[str]:
    """The modules that ``lava-dispatch`` imports for a command line that ends well."""
    program = "import runpy, sys; runpy.run_module('lava_vmgroup', run_name='__main__')"
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program, *words],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if "import time" in line}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["doctor", "--help"]])
def test_help_imports_nothing_that_a_job_needs(words: list[str]) -> None:
    found = imported(*words)

    assert "lava_vmgroup.cli.dispatch" in found
    assert not found & ALL


def test_check_of_a_job_imports_nothing_that_a_device_needs(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps(JOB))

    found = imported("--validate", str(job))

    assert "lava_vmgroup.job.parse" in found
    assert not found & DEVICES
