# SPDX-License-Identifier: MIT
"""A job with a real guest, brought to one of its phases, and what is left of it afterwards."""

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.integration.faults.matrix import PATIENCE_S, Phase
from tests.support.lab import IMAGES, Lab, follow
from tests.support.leftovers import jobs_on_host, traces
from tests.support.local_lab import (
    entry,
    guest,
    guest_actions,
    local_lab,
    shell_action,
    write_job,
)
from tests.support.processes import said, until
from tests.support.relay import Relay, relay
from tests.support.sshd import Server

SLOW_S = 0.02
"""Seconds for each piece of an upload, so that a fault can hit the upload."""
STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"
"""A program of the VM's that has to be ended by force, so that cleaning up takes a while."""
HEAD = "metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}\n"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A job that gives a fault time to happen."""

    steps: tuple[str, ...] = ()
    """Of the guest's test, after the test case ``started``."""
    boot_cmds: tuple[str, ...] = ()
    vm: Mapping[str, Any] = field(default_factory=dict)
    """More of the VM's entry in the job."""
    is_guest: bool = True
    """False for a shell of this machine as the VM, which is there at once."""
    host_steps: tuple[str, ...] = ()
    timeout: int = 120
    """Seconds for the whole job."""
    limit: int = 100
    """Seconds for the guest's test."""


PLOTS = {
    Phase.DEPLOY: Plot(),
    Phase.BOOT: Plot(boot_cmds=("rdinit=/bin/tail", "--", "-f", "/etc/hostname")),
    Phase.TEST: Plot(steps=("lava-test-case hang --shell sleep 1000",)),
    Phase.WAIT: Plot(steps=("lava-wait never-sent | sort",)),
    Phase.CLEANUP: Plot(),
}
"""A job for each phase that stays in it until the fault, or for long enough."""


@dataclass(kw_only=True)
class Scene:
    """A job on its way, and all that can be done to it."""

    lab: Lab
    sshd: Server
    network: Relay
    dispatcher_folder: Path
    """Folder of the dispatcher's temporary files."""
    output: str = "results"
    """Name of the output folder of the VM's dispatcher."""
    stubborn: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """The images on the host."""
        return self.lab.folder / "vms/sha256"

    @property
    def job_folder(self) -> Path:
        """The job's folder on the host."""
        (folder,) = (self.lab.folder / "vms").glob("job-*")
        return folder

    @property
    def vm_folder(self) -> Path:
        """The VM's folder on the host."""
        (folder,) = (one for one in self.job_folder.glob("vm1-job*") if one.is_dir())
        return folder

    def fill_store(self) -> None:
        """Have the images on the host already."""
        self.store.mkdir(parents=True)
        for name in ("kernel", "ramdisk"):
            shutil.copyfile(IMAGES / name, self.store / digest_of(name))

    def write(self, plot: Plot) -> Path:
        """The job for a plot."""
        steps = "".join(
            f"    - {step}\n" for step in ("lava-test-case started --result pass", *plot.steps)
        )
        host_steps = "".join(f"    - {step}\n" for step in plot.host_steps)
        testing = shell_action("guest.yaml", "guest")
        testing["parameters"]["timeout"] = plot.limit
        host_actions = [shell_action("host.yaml", "host")] if plot.host_steps else []
        vm = guest if plot.is_guest else entry
        guests_actions = guest_actions("guest", *plot.boot_cmds) if plot.is_guest else []
        document = {
            "timeout": plot.timeout,
            "vm_group": {
                "host": {"device_type": "rack"},
                "vms": [vm("guest", **plot.vm)],
            },
            "actions": [
                *guests_actions,
                *host_actions,
                testing,
            ],
        }
        return write_job(
            self.lab,
            document,
            guest=f"{HEAD}run:\n  steps:\n{steps}",
            host=f"{HEAD}run:\n  steps:\n{host_steps}",
        )

    @property
    def dispatcher(self) -> subprocess.Popen[str]:
        """The VM's, which is the one that was started last."""
        return self.lab.started[-1]

    def reach(self, phase: Phase) -> None:
        """Return when the VM is in a phase."""
        for event in follow(self.lab.folder / self.output / "events.jsonl", self.dispatcher):
            if phase is Phase.CLEANUP and is_of(Phase.TEST, event):
                self.be_stubborn()
            if is_of(phase, event):
                break
        else:
            raise AssertionError(f"no phase {phase.value}: {said(self.dispatcher)}")
        if phase is Phase.BOOT:
            (console,) = (self.lab.folder / self.output).glob("vm1-job*/console.log")
            until(lambda: console.stat().st_size > 0)

    def be_stubborn(self) -> None:
        """Add a program to the VM that keeps its end waiting."""
        environment = {**os.environ, "LAVA_VM_MARK": f"{self.vm_folder}/"}
        command = ["sh", "-c", STUBBORN]
        self.stubborn.append(subprocess.Popen(command, env=environment))

    def marked(self, folder: Path) -> list[int]:
        """The processes on the host that belong to a folder there."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                variables = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(one.startswith(f"LAVA_VM_MARK={folder}/".encode()) for one in variables):
                found.append(int(process.name))
        return found

    def running(self, word: str) -> list[int]:
        """The processes of the VM that have a word in their command lines, first of all."""
        found = []
        for pid in self.marked(self.vm_folder):
            with suppress(OSError):  # it may have ended meanwhile
                if word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]:
                    found.append(pid)
        return found

    def qemu(self) -> list[int]:
        """The VM's QEMU."""
        return self.running("qemu-system-aarch64")

    def assert_nothing_is_left(self) -> None:
        """Neither on the host nor on the dispatcher; the host may need a moment to find out."""
        until(lambda: jobs_on_host(self.lab) == set())
        until(lambda: traces(self.lab, self.sshd) == [])
        assert list(self.dispatcher_folder.iterdir()) == []
        for process in self.stubborn:
            assert process.wait() == -signal.SIGKILL


def is_of(phase: Phase, event: Mapping[str, Any]) -> bool:
    """Return True if an event proves that the VM is in a phase."""
    if not str(event["node"]).startswith("vm1-"):
        return False
    match phase, event:
        case Phase.DEPLOY, {"kind": "progress"}:
            return True
        case Phase.BOOT, {"state": "booting"}:
            return True
        case Phase.TEST, {"kind": "test-case", "name": "started"}:
            return True
        case Phase.WAIT, {"kind": "multinode", "api": api}:
            return "wait" in str(api).lower()
        case Phase.CLEANUP, {"kind": "action-end", "command": "lava_test_shell"}:
            return True
    return False


@cache
def digest_of(name: str) -> str:
    """The name in the store of one of the guest's images."""
    return hashlib.sha256((IMAGES / name).read_bytes()).hexdigest()


@contextmanager
def scene(folder: Path, sshd: Server) -> Iterator[Scene]:
    """A lab with a network that can fail."""
    dispatcher_folder = folder / "dispatcher"
    dispatcher_folder.mkdir()
    with (
        relay(sshd.address.port) as network,
        local_lab(folder, sshd, ssh_port=network.port, host_heartbeat_timeout=PATIENCE_S) as lab,
    ):
        made = Scene(lab=lab, sshd=sshd, network=network, dispatcher_folder=dispatcher_folder)
        try:
            yield made
        finally:
            # A test that failed may have left programs there.
            for pid in made.marked(folder / "vms"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in made.stubborn:
                process.kill()
                process.wait()
