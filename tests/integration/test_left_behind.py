# SPDX-License-Identifier: MIT
"""Nothing of a job stays on its host, however the dispatcher or the network between them ends.

The host is this machine, which stays up, with shells in the place of VMs.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.lab import Lab, follow
from tests.support.leftovers import jobs_on_host
from tests.support.local_lab import LAUNCH, entry, local_lab, shell_action
from tests.support.processes import said, until
from tests.support.relay import relay
from tests.support.sshd import Server

LIMIT_S = 60.0
HEAD = "metadata: {format: Lava-Test-Shell Test Definition 1.0, name: t, description: d}\n"
WAITING = f"""{HEAD}
run:
  steps:
    - sleep 600 >/dev/null 2>&1 &
    - lava-test-case started --result pass
    - while [ ! -e @FOLDER@/go ]; do sleep 0.2; done
"""
STUBBORN = "setsid sh -c \"trap '' TERM; while :; do sleep 0.1; done\" &"


def write(lab: Lab, name: str, *launch: str) -> Path:
    """A job in which host and VM run a test until the file ``go`` is there."""
    (lab.folder / "waiting.yaml").write_text(WAITING.replace("@FOLDER@", str(lab.folder)))
    actions = [shell_action("waiting.yaml", role) for role in ("host", "guest")]
    document = {
        "timeout": 120,
        "vm_group": {
            "host": {"device_type": "rack"},
            "vms": [entry("guest", launch_with=[*launch, LAUNCH])],
        },
        "actions": actions,
    }
    text = json.dumps(document).replace("@FOLDER@", str(lab.folder / name))
    path = lab.folder / f"{name}.json"
    path.write_text(text)
    return path


def start(lab: Lab, name: str, *launch: str) -> subprocess.Popen[str]:
    number = str(len(lab.started) + 1)
    return lab.start(write(lab, name, *launch), "--job-id", number, output=name)


def job_of(lab: Lab, process: subprocess.Popen[str]) -> Path:
    """The job's folder on the host."""
    number = lab.started.index(process) + 1
    (vm,) = (lab.folder / "vms").glob(f"job-*/*-job{number}.1")
    return vm.parent


def event(lab: Lab, name: str, process: subprocess.Popen[str], **wanted: str) -> Mapping[str, Any]:
    """The first event of a job with all these values."""
    for one in follow(lab.folder / name / "events.jsonl", process):
        if wanted.items() <= one.items():
            return one
    raise AssertionError(f"{name} ended without {wanted}: {said(process)}")


def started(lab: Lab, name: str, process: subprocess.Popen[str]) -> None:
    """Return when both host and VM run their tests."""
    seen = set()
    for one in follow(lab.folder / name / "events.jsonl", process):
        if one["kind"] == "test-case":
            seen.add(one["node"])
        if len(seen) == 2:
            return
    raise AssertionError(f"{name} ended early: {said(process)}")


def test_killed_dispatcher_leaves_nothing_in_any_phase(tmp_path: Path, sshd: Server) -> None:
    with local_lab(tmp_path, sshd, host_heartbeat_timeout=3) as lab:
        names = ("connecting", "booting", "testing", "cleaning", "twice", "living")
        launch = {"cleaning": [STUBBORN]}
        jobs = {name: start(lab, name, *launch.get(name, [])) for name in names}
        event(lab, "connecting", jobs["connecting"], state="connecting")
        jobs["connecting"].kill()
        event(lab, "booting", jobs["booting"], state="booting")
        jobs["booting"].kill()
        for name in ("testing", "cleaning", "twice", "living"):
            started(lab, name, jobs[name])
        living = jobs.pop("living")
        kept = job_of(lab, living).name
        jobs["testing"].kill()
        jobs["cleaning"].send_signal(signal.SIGINT)
        event(lab, "cleaning", jobs["cleaning"], kind="error")
        jobs["cleaning"].kill()
        jobs["twice"].kill()
        orphan = job_of(lab, jobs["twice"])
        os.kill(int((orphan / ".supervisor/owner").read_text().split()[0]), signal.SIGKILL)
        for process in jobs.values():
            said(process)

        until(lambda: jobs_on_host(lab) == {kept, orphan.name})

        assert living.poll() is None
        (lab.folder / "go").touch()
        assert lab.finish(living, "living").status == 0
        assert lab.run(write(lab, "results")).status == 0
        until(lambda: jobs_on_host(lab) == set())


def test_frozen_network_is_survived_or_named(tmp_path: Path, sshd: Server) -> None:
    for name in ("thawed", "frozen"):
        (tmp_path / name).mkdir()
    with (
        relay(sshd.address.port) as short,
        relay(sshd.address.port) as long,
        local_lab(
            tmp_path / "thawed", sshd, ssh_port=short.port, host_heartbeat_timeout=10
        ) as thawed,
        local_lab(
            tmp_path / "frozen", sshd, ssh_port=long.port, host_heartbeat_timeout=4
        ) as frozen,
    ):
        jobs = [start(lab, "results") for lab in (thawed, frozen)]
        for lab, process in zip((thawed, frozen), jobs, strict=True):
            started(lab, "results", process)
        short.freeze()
        long.freeze()
        time.sleep(5)
        short.thaw()
        (thawed.folder / "go").touch()

        assert thawed.finish(jobs[0]).status == 0
        ended = frozen.finish(jobs[1])

        assert ended.status == 4, ended.stderr
        assert "rack01: lava_test_shell: the host has not answered for 4 s" in ended.stderr
        until(lambda: not jobs_on_host(thawed) and not jobs_on_host(frozen))
