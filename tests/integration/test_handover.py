# SPDX-License-Identifier: MIT
"""The line of ``lava-dispatch handover`` lets a job in to a host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.connections.ssh_keys import KeyFile
from tests.support.sshd import Server, sshd

__all__ = ["sshd"]


def handover(key: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lava_vmgroup", "handover", str(key)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_line_authorizes_the_key(sshd: Server, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    folder = sshd.home / ".ssh"
    folder.mkdir(exist_ok=True)
    (folder / "authorized_keys").write_text("# a last line without an end")

    done = handover(key)
    [line] = done.stdout.splitlines()
    home = {**os.environ, "HOME": str(sshd.home)}
    subprocess.run(["sh", "-c", line], env=home, stdout=subprocess.DEVNULL, check=False, timeout=60)

    assert (folder / "authorized_keys").read_text().startswith("# a last line without an end\n")
    with dial(sshd.address, KeyFile(key), Deadline.after("the test", 60.0)):
        pass


def test_file_that_is_no_private_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA")

    done = handover(tmp_path / "key.pub")

    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot use the SSH key" in done.stderr
