# SPDX-License-Identifier: MIT
"""A lab whose host is this machine: a real OpenSSH server on loopback.

Whole jobs take seconds here.  A VM is either a shell of this machine, started by ``launch_with``,
whose tests may then do nothing that needs a machine of its own; or a real guest, emulated.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support.lab import IMAGES, Lab, ending
from tests.support.sshd import Server

PROMPT = "guest> "
LAUNCH = f"PS1='{PROMPT}' exec sh -i"


def entry(role: str, **more: Any) -> dict[str, Any]:
    """An item of ``vm_group.vms``: shells that stand for VMs."""
    vm = {"device_type": "kvm-aarch64", "role": role, "shell_prompt": PROMPT}
    return {**vm, "launch_with": LAUNCH, **more}


def guest(role: str, **more: Any) -> dict[str, Any]:
    """An item of ``vm_group.vms``: a real guest, deployed by `guest_actions`."""
    return {"device_type": "kvm-aarch64", "role": role, **more}


def guest_actions(role: str, *boot_cmds: str) -> list[dict[str, Any]]:
    """Return the actions that deploy and boot real guests: busybox on Debian's kernel."""
    files = {name: str(IMAGES / name) for name in ("kernel", "ramdisk")}
    quickly = ("nokaslr", "cryptomgr.notests")
    words = ["console=ttyAMA0", "loglevel=3", *quickly, *boot_cmds]
    return [
        {"command": "deploy_linaro_kernel", "parameters": {**files, "role": role}},
        {"command": "boot_linaro_image", "parameters": {"boot_cmds": words, "role": role}},
    ]


def shell_action(testdef: str, role: str) -> dict[str, Any]:
    """A ``lava_test_shell`` whose files stay in the lab's folder."""
    parameters = {"testdef_urls": [testdef], "lava_test_dir": "@FOLDER@/tests/%s", "role": role}
    return {"command": "lava_test_shell", "parameters": parameters}


def write_job(lab: Lab, document: Mapping[str, Any], **testdefs: str) -> Path:
    """Put a job and its test definitions, by their names, where they can be run."""
    for name, text in testdefs.items():
        (lab.folder / f"{name}.yaml").write_text(text.replace("@FOLDER@", str(lab.folder)))
    path = lab.folder / "job.json"
    path.write_text(json.dumps(document).replace("@FOLDER@", str(lab.folder)))
    return path


def programs(folder: Path, wanted: Callable[[str], bool]) -> Path:
    """Make a folder for PATH, with those of this machine's programs that are `wanted`."""
    folder.mkdir()
    for program in Path("/usr/bin").iterdir():
        if wanted(program.name):
            (folder / program.name).symlink_to(program)
    return folder


def only_programs(
    sshd: Server,
    wanted: Callable[[str], bool] = lambda _name: True,
    replaced: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Have the host offer programs of this machine, and scripts of ours."""
    folder = programs(sshd.home / "programs", lambda name: wanted(name) and name not in replaced)
    for name, text in replaced.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    config = sshd.home.parent / "sshd_config"
    home = f"SetEnv HOME={sshd.home}"
    config.write_text(config.read_text().replace(home, f"{home} PATH={folder}"))


@contextmanager
def local_lab(folder: Path, sshd: Server, **device: int | str) -> Iterator[Lab]:
    """A lab with this machine as its only host, ``rack01`` of type ``rack``.

    `device` is more of its configuration; its ``ssh_port`` may be one that leads to `sshd`.
    """
    config = configure(folder, sshd, "rack", **device)
    # No network is made on this machine.
    (config / "device-types/kvm-aarch64.conf").write_text("qemu_networks =\n")
    with ending(Lab(folder=folder, config=config)) as made:
        yield made


def configure(folder: Path, sshd: Server, kind: str, **device: int | str) -> Path:
    """Write the configuration of a lab whose only host, ``rack01`` of type `kind`, is `sshd`'s."""
    sshd.accept_new_key(folder / "id")
    ((host_kind, key),) = sshd.address.host_keys
    port = device.get("ssh_port", sshd.address.port)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_kind} {key}\n")
    config = folder / "config"
    for name in ("devices", "device-types"):
        (config / name).mkdir(parents=True)
    rack = {
        "client_type": "dummy",
        "dummy_driver": "ssh",
        "ssh_host": "127.0.0.1",
        "ssh_port": port,
        "ssh_username": sshd.address.username,
        "ssh_identity_file": folder / "id",
        "ssh_known_hosts": folder / "known_hosts",
        "vm_folder": folder / "vms",
        **device,
    }
    text = "".join(f"{name} = {value}\n" for name, value in rack.items())
    (config / f"device-types/{kind}.conf").write_text(text)
    (config / "devices/rack01.conf").write_text(f"device_type = {kind}\n")
    return config
