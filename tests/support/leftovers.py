# SPDX-License-Identifier: MIT
"""Left-overs of jobs on a host that is this machine."""

import re
from pathlib import Path

from tests.support.lab import Lab
from tests.support.sshd import Server


def jobs_on_host(lab: Lab) -> set[str]:
    """The jobs of which something is there, be it a folder or a process."""
    root = str(lab.folder / "vms")
    found = {path.name for path in (lab.folder / "vms").glob("*job-*")}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        found |= set(re.findall(rf"{re.escape(root)}/\.?(job-[0-9a-f-]+)", said.decode("latin-1")))
    return found


def traces(lab: Lab, sshd: Server) -> list[str]:
    """The files and keys that a job should have removed from its host and did not."""
    left = [path.name for path in (lab.folder / "vms").glob("*") if path.name != "sha256"]
    parts = [path.name for path in (lab.folder / "vms/sha256").glob("*.part-*")]
    keys = sshd.authorized_keys.read_text().splitlines()
    return left + parts + [key for key in keys if "lava-vmgroup" in key]
