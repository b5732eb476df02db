# SPDX-License-Identifier: MIT
"""The supervisor of a host, where the host is this machine: what is left when nobody cleans up."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from lava_vmgroup.base.shell_programs import program_text
from tests.support.processes import is_running, until

PROGRAM = program_text("vms/supervisor.sh")
SHELLS = {"dash": ["/usr/bin/dash"], "bash": ["/usr/bin/bash"], "busybox": ["/usr/bin/busybox"]}
LIMIT_S = 60.0
PATIENT = 600
IMPATIENT = 5


@dataclass(frozen=True, kw_only=True)
class Host:
    """A folder for VMs and a home with keys, where ``sh`` is one of several."""

    folder: Path
    home: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[Any]] = field(default_factory=list)
    """Processes that a failing test leaves; its fixture ends them."""

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

    def upload(self, job: "Job", vm: str) -> Path:
        """An unfinished upload."""
        (self.folder / "sha256").mkdir(exist_ok=True)
        part = self.folder / f"sha256/0.part-{job.name}-{vm}"
        part.touch()
        return part

    def start(self, job: str, patience: int = PATIENT, keys_file: Path | str = "") -> "Job":
        """Start a job's supervisor, which removes the job's keys from `keys_file`."""
        made = Job(host=self, folder=self.folder / f"job-{job}", name=job)
        self.folder.mkdir(exist_ok=True)
        program = self.folder / f"{job}.sh"
        program.write_text(PROGRAM)
        words = (made.folder, str(patience), "lava-none", keys_file)
        made.said = self.run("sh", program, "start", *words)
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
        """Start what stands for a VM."""
        path = self.folder / vm
        path.mkdir()
        environment = {**self.host.environment, "LAVA_VM_MARK": f"{path}/"}
        vm_process = subprocess.Popen(["sleep", "600"], cwd=path, env=environment)
        self.host.started.append(vm_process)
        return vm_process

    def have_been_before_a_power_cut(self) -> None:
        """Look like a job of the host's last boot, whose process numbers others have now."""
        owner = self.folder / ".supervisor/owner"
        _, started, _ = owner.read_text().split()
        owner.write_text(f"{os.getpid()} {started} another-boot\n")

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
        self.host.started.append(process)
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

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat until the block ends; each beat is heard."""
        ended = threading.Event()
        answers = {"alive"}

        def beat() -> None:
            while not ended.wait(0.3):
                answers.add(self.beat())

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(LIMIT_S)
        assert answers == {"alive"}


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
    host = Host(folder=tmp_path / "vms", home=home, environment={"HOME": str(home), "PATH": path})
    yield host
    for process in host.started:
        process.kill()
        process.wait()
    for owner in (tmp_path / "vms").glob("job-*/.supervisor/owner"):
        with suppress(ProcessLookupError):
            os.kill(int(owner.read_text().split()[0]), signal.SIGKILL)


def test_what_nobody_looks_after_ends_and_what_lives_stays(host: Host, tmp_path: Path) -> None:
    living = host.start("1-job", IMPATIENT)
    heart, victims, leavers = living.heart("beat"), living.heart("vms/vm1"), living.heart("vms/vm2")
    assert [one.beat() for one in (heart, victims, leavers)] == ["alive"] * 3
    assert leavers.beat("bye") == "bye"
    with heart.beating():
        victim = living.launch("vm1")
        orphan, cut = host.start("orphan", IMPATIENT), host.start("cut")
        silent = host.start("1.job", IMPATIENT)
        jobs = [silent, orphan, living]
        uploads = [host.upload(job, "vm2") for job in jobs]
        vms = [job.launch("vm2") for job in jobs]
        unpacked = tmp_path / "lava tests"
        unpacked.mkdir()
        with (silent.folder / ".supervisor/ledger").open("a") as ledger:
            ledger.write(f"folder {unpacked}\n")
        supervisors = [job.supervisor for job in (silent, orphan, living, cut)]
        for pid in supervisors[1:]:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(is_running, supervisors[1:])))
        cut.have_been_before_a_power_cut()

        after = host.start("after")
        until(lambda: silent.is_gone and orphan.is_gone)
        # The beats of a VM are the last of it to go.
        until(lambda: not (living.folder / ".supervisor/vms/vm1").exists())
        assert not (living.folder / "vm1").exists()

    assert {"adopted job-orphan", "adopted job-1-job", "removed job-cut"} <= set(
        after.said.split("\n")
    )
    assert cut.is_gone
    assert not unpacked.exists()
    assert [upload.exists() for upload in uploads] == [False, False, True]
    assert [vm.poll() for vm in [*vms, victim]] == [-15, -15, None, -15]
    # A dispatcher that was given up hears of it when it comes back.
    assert victims.beat() == "ended"
    assert heart.beat() == "alive"
    for job in (living, after):
        job.do("end", job.folder)
        assert job.is_gone
    assert vms[2].wait(LIMIT_S) == -15
    # The far ends of heartbeats are the job's, even if nobody has closed them.
    assert [one.process.wait(LIMIT_S) for one in (heart, victims, leavers)] == [-15] * 3
    assert host.keys.read_text() == "ssh-ed25519 BBBB owner\n"
    assert [path.name for path in host.folder.iterdir()] == ["sha256"]
    until(lambda: not any(map(is_running, supervisors)))


def test_what_vms_have_made_is_undone_the_last_first_until_that_succeeds(host: Host) -> None:
    job = host.start("1")
    said, allowed = host.home / "said", host.home / "is allowed"
    undo = job.folder / ".supervisor/undo"
    (undo / "vm1").write_text(f"echo first >>{said}\necho 'and last' >>{said}; cat\n")
    job.launch("vm1")

    job.do("remove", job.folder / "vm1")

    assert said.read_text() == "and last\nfirst\n"
    assert list(undo.iterdir()) == []

    (undo / "vm2").write_text(f"cat '{allowed}'\necho vm2 >>{said}\n")
    with pytest.raises(AssertionError, match="is allowed"):
        job.do("end", job.folder)
    job.have_been_before_a_power_cut()
    allowed.touch()
    assert host.start("after").said == "removed job-1\n"
    assert job.is_gone

    assert said.read_text() == "and last\nfirst\nvm2\nvm2\n"


@pytest.mark.parametrize("host", ["dash"], indirect=True)
def test_keys_go_from_the_file_that_the_server_reads(host: Host) -> None:
    file = host.folder.parent / "keys of root"
    job = host.start("1", keys_file=file)
    file.write_text("ssh-ed25519 AAAA lava-vmgroup-1\nssh-rsa AAAA lava-vmgroup-1\nssh-rsa A me\n")

    job.do("end", job.folder)

    assert file.read_text() == "ssh-rsa A me\n"
    assert not job.folder.exists()


@pytest.mark.parametrize("host", ["dash"], indirect=True)
def test_job_ends_without_its_supervisor(host: Host) -> None:
    job = host.start("1")
    vm = job.launch("vm1")
    os.kill(job.supervisor, signal.SIGKILL)
    until(lambda: not is_running(job.supervisor))

    job.do("end", job.folder)

    assert job.is_gone
    assert vm.wait() == -signal.SIGTERM


def test_files_that_are_written_while_they_are_removed_are_removed_again(host: Host) -> None:
    """The first removal fails, and something of the job is running again, as it may be by then."""
    job = host.start("1")
    failed, straggler = host.folder / "failed", host.folder / "straggler"
    programs = host.folder.parent / "programs"
    (programs / "rm").write_text(
        "#!/bin/sh\n"
        f"if [ ! -e {failed} ]; then\n"
        f"    : >{failed}\n"
        f"    LAVA_VM_MARK={job.folder}/.host/ sleep 600 </dev/null >/dev/null 2>&1 &\n"
        f"    echo $! >{straggler}\n"
        # Until it is a program of its own, the process has this shell's environment.
        "    until grep -aq sleep /proc/$!/cmdline; do sleep 0.05; done\n"
        "    echo 'rm: Directory not empty' >&2; exit 1\n"
        "fi\n"
        f'exec {shutil.which("rm")} "$@"\n'
    )
    (programs / "rm").chmod(0o755)

    job.do("end", job.folder)

    assert job.is_gone
    assert not is_running(int(straggler.read_text()))


def test_no_list_of_processes_shows_a_vm_that_has_ended(host: Host) -> None:
    job = host.start("1")
    path = job.folder / "vm1"
    path.mkdir()
    reaping_late = (
        "import os, subprocess, sys, time\n"
        "vm = subprocess.Popen(['sleep', '600'], env={'LAVA_VM_MARK': sys.argv[1]})\n"
        "print(vm.pid, flush=True)\n"
        "os.waitid(os.P_PID, vm.pid, os.WEXITED | os.WNOWAIT)\n"
        "time.sleep(0.05)\n"
        "vm.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", reaping_late, f"{path}/"], stdout=subprocess.PIPE, text=True
    )
    host.started.append(parent)
    assert parent.stdout is not None
    pid = parent.stdout.readline().strip()

    job.do("remove", path)

    assert not Path("/proc", pid).exists()
    job.do("end", job.folder)
