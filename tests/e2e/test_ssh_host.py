# SPDX-License-Identifier: MIT
"""A host that is up already, with a VM on it, by nothing but SSH."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.test_vm_group import HELLO, group
from tests.support.lab import EMULATED_BOARD, Lab


def board(lab: Lab, *words: str) -> None:
    command = [sys.executable, str(EMULATED_BOARD / "board.py"), words[0], str(lab.board)]
    subprocess.run([*command, *words[1:]], check=True)


def put_on_card(lab: Lab, source: Path, target: str, mode: str) -> None:
    """Write a file into the file system on the board's SD card."""
    card = f"{lab.board / 'sdcard.img'}?offset={1 << 20}"
    for request in (
        f"mkdir {Path(target).parent}",
        f"write {source} {target}",
        f"sif {target} mode 0100{mode}",
    ):
        subprocess.run(["/usr/sbin/debugfs", "-w", "-R", request, card], capture_output=True)


def switch_on_host(lab: Lab) -> None:
    """A host whose keys the lab knows, and that knows the lab's key, switched on by hand."""
    for name in ("ssh_host_ed25519_key", "id"):
        key = lab.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    board(lab, "insert", "host.img")
    for suffix, mode in (("", "600"), (".pub", "644")):
        name = f"ssh_host_ed25519_key{suffix}"
        put_on_card(lab, lab.folder / name, f"/etc/ssh/{name}", mode)
    put_on_card(lab, lab.folder / "id.pub", "/root/.ssh/authorized_keys", "600")
    board(lab, "on")


def configure(lab: Lab) -> None:
    """The device as a lab describes such a host in v1's words."""
    config = lab.board / "config"
    keys = dict(
        line.split(" = ", 1) for line in (config / "devices/board01.conf").read_text().splitlines()
    )
    public = (lab.folder / "ssh_host_ed25519_key.pub").read_text()
    (lab.folder / "known_hosts").write_text(f"[127.0.0.1]:{keys['ssh_port']} {public}")
    (config / "device-types/rack.conf").write_text("client_type = dummy\ndummy_driver = ssh\n")
    (config / "devices/rack01.conf").write_text(
        f"device_type = rack\ndummy_ssh_host = 127.0.0.1\ndummy_ssh_port = {keys['ssh_port']}\n"
        f"dummy_ssh_identity_file = {lab.folder}/id\nssh_known_hosts = {lab.folder}/known_hosts\n"
    )


def test_host_that_is_up_runs_vms_and_stays_as_it_was(lab: Lab) -> None:
    switch_on_host(lab)
    configure(lab)
    job = group({"role": "guest", "device_type": "kvm-aarch64", "image": "vm-arm64.img"})
    job["vm_group"]["vms"][0]["image"] = str(EMULATED_BOARD / "images/vm-arm64.img")
    job["vm_group"]["host"] = {"device_type": "rack"}
    del job["actions"][0]

    ended = lab.run(lab.write_job(job, HELLO))
    still_up = any("qemu-system-aarch64" in line for line in lab.processes())
    board(lab, "off")

    assert ended.status == 0, ended.stderr
    cases = {node["role"]: node["runs"][0]["cases"] for node in ended.results["nodes"]}
    assert {role: case[0]["result"] for role, case in cases.items()} == {
        "host": "pass",
        "guest": "pass",
    }
    assert still_up
    assert lab.files_on_host("/root/.ssh") == ["authorized_keys"]
    assert lab.files_on_host("/lava-vm-images") == ["sha256"]
    assert not [name for name in lab.files_on_host("/") if name.startswith("lava-rack01")]
