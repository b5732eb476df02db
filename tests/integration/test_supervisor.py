# SPDX-License-Identifier: MIT
"""The supervisor of a host, where the host is this machine: what is left when nobody cleans up."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from lava_vmgroup.vms import supervisor

PROGRAM = Path(supervisor.__file__).with_suffix(".sh")
SHELLS = {"dash": ["/usr/bin/dash"], "bash": ["/usr/bin/bash"], "busybox": ["/usr/bin/busybox"]}
LIMIT_S = 60.0
PATIENT = 600
IMPATIENT = 2


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that takes as long as it takes."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1]
    except FileNotFoundError:
        return False


@dataclass(frozen=True, kw_only=True)
class Host:
    """A folder for VMs and a home with keys, where ``sh`` is one of several."""

    folder: Path
    home: Path
    environment: dict[str, str]

    @property
    def keys(self) -> Path:
        return self.home / ".ssh/authorized_keys"

    def run(self, *words: str | Path) -> str:
        """Run a command on the host, which must succeed; gives what it says."""
        command = [str(word) for word in words]
        ended = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def start(self, job: str, patience: int = PATIENT) -> "Job":
        """Start a job's supervisor."""
        made = Job(host=self, folder=self.folder / f"job-{job}", name=job)
        self.folder.mkdir(exist_ok=True)
        program = shutil.copy(PROGRAM, self.folder / f"{job}.sh")
        made.said = self.run("sh", program, "start", made.folder, str(patience), "lava-none")
        with self.keys.open("a") as keys:
            keys.write(f"ssh-ed25519 AAAA lava-vmgroup-{job}\n")
        return made


@dataclass(kw_only=True)
class Job:
    """A job on the host."""

    host: Host
    folder: Path
    name: str
    said: str = ""

    @property
    def supervisor(self) -> int:
        return int((self.folder / ".supervisor/owner").read_text().split()[0])

    @property
    def is_gone(self) -> bool:
        keys = self.host.keys.read_text() if self.host.keys.exists() else ""
        return not self.folder.exists() and f"lava-vmgroup-{self.name}\n" not in keys

    def do(self, command: str, *words: str | Path) -> None:
        self.host.run("sh", self.folder / ".supervisor/program", command, *words)

    def launch(self, vm: str) -> subprocess.Popen[bytes]:
        """Start a VM that does not listen to a polite signal."""
        path = self.folder / vm
        path.mkdir()
        program = "trap '' TERM; echo >started; while :; do sleep 0.1; done"
        environment = {**self.host.environment, "LAVA_VM_MARK": f"{path}/"}
        started = subprocess.Popen(["sh", "-c", program], cwd=path, env=environment)
        until((path / "started").exists)
        return started

    def heart(self, name: str) -> "Heart":
        words = ["sh", str(self.folder / ".supervisor/program"), "beat", str(self.folder), name]
        mark = f"{self.folder}/.supervisor/"
        process = subprocess.Popen(
            words,
            env={**self.host.environment, "LAVA_VM_MARK": mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        return Heart(process=process, stdin=process.stdin, stdout=process.stdout)


@dataclass(frozen=True, kw_only=True)
class Heart:
    """A dispatcher's end of its heartbeat."""

    process: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]

    def beat(self, word: str = "beat") -> str:
        self.stdin.write(f"{word}\n")
        self.stdin.flush()
        return self.stdout.readline().strip()

    def beat_while(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT_S
        while condition():
            assert time.monotonic() < end, "it did not happen"
            assert self.beat() == "alive"
            time.sleep(0.3)


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    programs = tmp_path / "programs"
    programs.mkdir()
    (shell,) = SHELLS[request.param]
    (programs / "sh").symlink_to(shell)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/authorized_keys").write_text("ssh-ed25519 BBBB owner\n")
    path = f"{programs}:{os.environ['PATH']}"
    yield Host(folder=tmp_path / "vms", home=home, environment={"HOME": str(home), "PATH": path})
    for owner in (tmp_path / "vms").glob("job-*/.supervisor/owner"):
        os.kill(int(owner.read_text().split()[0]), signal.SIGKILL)


def test_silence_ends_all_of_the_job_and_nothing_of_another(host: Host, tmp_path: Path) -> None:
    dead, living = host.start("1.dead", IMPATIENT), host.start("1-dead")
    vms = [job.launch("vm1") for job in (dead, living)]
    unpacked = tmp_path / "lava tests"
    unpacked.mkdir()
    (host.folder / "sha256").mkdir()
    uploads = [host.folder / f"sha256/0.part-{job.name}-vm1" for job in (dead, living)]
    for upload in uploads:
        upload.touch()
    with (dead.folder / ".supervisor/ledger").open("a") as ledger:
        ledger.write(f"folder {unpacked}\n")
    supervisors = [job.supervisor for job in (dead, living)]

    until(lambda: not is_running(supervisors[0]))

    assert dead.is_gone
    assert [vm.poll() for vm in vms] == [-signal.SIGKILL, None]
    assert not unpacked.exists()
    assert [upload.exists() for upload in uploads] == [False, True]
    assert host.keys.read_text().split("\n") == [
        "ssh-ed25519 BBBB owner",
        "ssh-ed25519 AAAA lava-vmgroup-1-dead",
        "",
    ]
    living.do("end", living.folder)
    assert living.is_gone
    assert not is_running(supervisors[1])
    assert vms[1].wait() == -signal.SIGKILL


def test_vm_of_a_dead_dispatcher_ends_alone(host: Host) -> None:
    job = host.start("1", IMPATIENT)
    heart, victims, leavers = job.heart("beat"), job.heart("vms/vm1"), job.heart("vms/vm2")
    assert [one.beat() for one in (heart, victims, leavers)] == ["alive"] * 3
    assert leavers.beat("bye") == "bye"
    victim, other = job.launch("vm1"), job.launch("vm2")

    heart.beat_while(lambda: victim.poll() is None or (job.folder / "vm1").exists())

    assert other.poll() is None
    # Whoever was given up is told so when it comes back.
    assert victims.beat() == "ended"
    job.do("end", job.folder)
    assert other.wait() == -signal.SIGKILL
    # Its ends of the heartbeats are the job's, too, even if nobody has closed them.
    assert [one.process.wait(LIMIT_S) for one in (heart, victims, leavers)] == [-signal.SIGTERM] * 3


def test_job_whose_supervisor_was_killed_gets_one_from_the_next_job(host: Host) -> None:
    dead, living = host.start("dead", IMPATIENT), host.start("living", IMPATIENT)
    heart = living.heart("beat")
    vms = [job.launch("vm1") for job in (dead, living)]
    for job in (dead, living):
        os.kill(job.supervisor, signal.SIGKILL)

    after = host.start("after")

    assert sorted(after.said.split("\n")) == ["", "adopted job-dead", "adopted job-living"]
    heart.beat_while(lambda: not dead.is_gone)
    assert [vm.poll() for vm in vms] == [-signal.SIGKILL, None]
    assert heart.beat() == "alive"
    living.do("end", living.folder)
    assert living.is_gone
    assert vms[1].wait() == -signal.SIGKILL
    after.do("end", after.folder)


def test_what_a_power_cut_left_goes_with_the_next_job(host: Host) -> None:
    dead = host.start("dead")
    owner = dead.folder / ".supervisor/owner"
    process, started, _ = owner.read_text().split()
    os.kill(int(process), signal.SIGKILL)
    owner.write_text(f"{process} {started} 00000000-another-boot\n")

    after = host.start("after")

    assert after.said == "removed job-dead\n"
    assert dead.is_gone
    after.do("end", after.folder)


def test_job_ends_without_its_supervisor(host: Host) -> None:
    job = host.start("1")
    vm = job.launch("vm1")
    os.kill(job.supervisor, signal.SIGKILL)

    job.do("end", job.folder)

    assert job.is_gone
    assert vm.wait() == -signal.SIGKILL
