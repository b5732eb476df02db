# SPDX-License-Identifier: MIT
"""A lab whose host is this machine: a real OpenSSH server on loopback, and shells for VMs.

Whole jobs take seconds here.  What a VM is said to be is a shell of this machine, started by
``launch_with``, so nothing that tests do may need a machine of its own.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.lab import Lab, ending
from tests.support.sshd import Server

PROMPT = "guest> "
LAUNCH = f"PS1='{PROMPT}' exec sh -i"


def entry(role: str, **more: Any) -> dict[str, Any]:
    """An item of ``vm_group.vms``: shells that stand for VMs."""
    vm = {"device_type": "kvm-aarch64", "role": role, "shell_prompt": PROMPT}
    return {**vm, "launch_with": LAUNCH, **more}


def shell_action(testdef: str, role: str) -> dict[str, Any]:
    """A ``lava_test_shell`` whose files stay in the lab's folder."""
    parameters = {"testdef_urls": [testdef], "lava_test_dir": "@FOLDER@/tests/%s", "role": role}
    return {"command": "lava_test_shell", "parameters": parameters}


def write_job(lab: Lab, document: Mapping[str, Any], **testdefs: str) -> Path:
    """Put a job and its test definitions, by their names, where they can be run."""
    for name, text in testdefs.items():
        (lab.folder / f"{name}.yaml").write_text(text)
    path = lab.folder / "job.json"
    path.write_text(json.dumps(document).replace("@FOLDER@", str(lab.folder)))
    return path


@contextmanager
def local_lab(folder: Path, sshd: Server) -> Iterator[Lab]:
    """A lab with this machine as its only host, ``rack01`` of type ``rack``."""
    sshd.accept_new_key(folder / "id")
    ((kind, key),) = sshd.address.host_keys
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{sshd.address.port} {kind} {key}\n")
    config = folder / "config"
    for name in ("devices", "device-types"):
        (config / name).mkdir(parents=True)
    rack = {
        "client_type": "dummy",
        "dummy_driver": "ssh",
        "ssh_host": "127.0.0.1",
        "ssh_port": sshd.address.port,
        "ssh_username": sshd.address.username,
        "ssh_identity_file": folder / "id",
        "ssh_known_hosts": folder / "known_hosts",
        "vm_folder": folder / "vms",
    }
    text = "".join(f"{name} = {value}\n" for name, value in rack.items())
    (config / "device-types/rack.conf").write_text(text)
    (config / "devices/rack01.conf").write_text("device_type = rack\n")
    # No network is made on this machine.
    (config / "device-types/kvm-aarch64.conf").write_text("qemu_networks =\n")
    with ending(Lab(folder=folder, config=config)) as made:
        yield made
