# SPDX-License-Identifier: MIT
"""The image store of a host over several jobs: its limit, and power cuts."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.vms.store import ImageStore
from lava_vmgroup.vms.stored_file import stored
from lava_vmgroup.vms.supervisor import Supervisor, job_folder
from tests.integration.test_whole_jobs import job
from tests.support.local_lab import guest, guest_actions, local_lab, only_programs, write_job
from tests.support.processes import is_running, until
from tests.support.sshd import Server
from tests.support.supervised import PATIENCE_S, supervised

MIB = 1 << 20
SYNC = "#!/bin/sh\n[ $# -eq 0 ] || ls >>../synced\n"
"""Notes what the store has while a file is flushed."""


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@pytest.fixture(params=["gnu", "busybox"])
def host(request: pytest.FixtureRequest, sshd: Server, tmp_path: Path) -> Server:
    """A host with the usual programs, or with busybox's alone."""
    if request.param == "busybox":
        tools = tmp_path / "tools"
        tools.mkdir()
        program = str(shutil.which("busybox"))
        subprocess.run([program, "--install", "-s", tools], check=True)
        config = sshd.home.parent / "sshd_config"
        home = f"SetEnv HOME={sshd.home}"
        config.write_text(config.read_text().replace(home, f"{home} PATH={tools}"))
    return sshd


class Jobs:
    """Jobs one after the other, or at the same time, that use one host's store."""

    def __init__(self, host: Server, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.root = folder / "vms"
        self.images: dict[str, Path] = {}

    def put(self, job: str, image: str, *, limit_mib: int = 0) -> int:
        """Have a job use an image of 1 MiB; returns how many bytes were sent for that."""
        local = self.images.setdefault(image, self.folder / f"{image}.img")
        if not local.exists():
            local.write_bytes(os.urandom(MIB))
        store = ImageStore(str(self.root), job, limit_mib)
        with dial(self.host.address, self.host.key, soon()) as link:
            path = store.put(stored(local, soon()), link, NodeLog(f"vm-{job}"), soon())
        assert Path(path).read_bytes() == local.read_bytes()
        return store.uploads()[0].bytes_sent

    def stored(self, image: str) -> Path:
        """An image's file on the host."""
        return self.root / "sha256" / stored(self.images[image], soon()).digest

    @property
    def kept(self) -> set[str]:
        """The images in the store."""
        assert {path.name for path in (self.root / "sha256").iterdir()} <= {
            self.stored(image).name for image in self.images
        }
        return {image for image in self.images if self.stored(image).exists()}

    def used_at(self, **times: int) -> None:
        """Have images been used at moments of the past."""
        for image, moment in times.items():
            os.utime(self.stored(image), (moment, moment))


@pytest.fixture
def jobs(host: Server, tmp_path: Path) -> Jobs:
    return Jobs(host, tmp_path)


def test_least_recently_used_images_make_room_for_another(jobs: Jobs) -> None:
    with supervised(jobs.host, jobs.root, "first"):
        for image in ("a", "b", "c"):
            jobs.put("first", image)
    # Not in the order of their names.
    first, second, third = sorted(jobs.images, key=lambda one: jobs.stored(one).name, reverse=True)
    jobs.used_at(**{first: 1000, second: 2000, third: 3000})

    with supervised(jobs.host, jobs.root, "second"):
        assert jobs.put("second", first, limit_mib=4) == 0
        assert jobs.put("second", "d", limit_mib=4) == MIB

    assert jobs.kept == {first, third, "d"}


def test_images_that_a_running_job_uses_stay_whatever_the_limit(jobs: Jobs) -> None:
    with supervised(jobs.host, jobs.root, "second"):
        with supervised(jobs.host, jobs.root, "first"):
            jobs.put("first", "a")
            jobs.put("first", "b")
            jobs.used_at(a=1000, b=1000)
            with pytest.raises(InfrastructureError, match="may have 2 MiB, running jobs use") as no:
                jobs.put("second", "c", limit_mib=2)
            assert jobs.kept == {"a", "b"}
            assert "vm_store_limit" in str(no.value.hint)

        assert jobs.put("second", "c", limit_mib=2) == MIB
        assert jobs.kept == {"c"}


def test_image_that_a_process_has_locked_stays(sshd: Server, tmp_path: Path) -> None:
    jobs = Jobs(sshd, tmp_path)
    with supervised(jobs.host, jobs.root, "first"):
        jobs.put("first", "a")
        jobs.put("first", "b")
    jobs.used_at(a=1000, b=2000)
    words = ["flock", "--shared", str(jobs.stored("a")), "sh", "-c", "echo held; exec cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with supervised(jobs.host, jobs.root, "second"):
            jobs.put("second", "c", limit_mib=3)
        assert holder.stdin is not None
        holder.stdin.close()

    assert jobs.kept == {"a", "c"}


def test_old_images_make_room_when_the_disk_is_full(sshd: Server, tmp_path: Path) -> None:
    full = 'n=$(ls | grep -c .); echo "F B U A C M"; echo "disk 99999 0 $((2048 - n * 1024)) 0% /"'
    only_programs(sshd, replaced={"df": f"#!/bin/sh\n{full}\n"})
    jobs = Jobs(sshd, tmp_path)
    with supervised(sshd, jobs.root, "first"):
        jobs.put("first", "a")
        jobs.put("first", "b")
    jobs.used_at(a=2000, b=1000)

    with supervised(sshd, jobs.root, "second"):
        jobs.put("second", "c")

    assert jobs.kept == {"a", "c"}


def test_disk_that_tells_no_size_takes_images(sshd: Server, tmp_path: Path) -> None:
    only_programs(sshd, replaced={"df": "#!/bin/sh\necho Filesystem 1024-blocks Used Available\n"})
    jobs = Jobs(sshd, tmp_path)

    with supervised(sshd, jobs.root, "first"):
        assert jobs.put("first", "a") == MIB


def test_image_is_on_the_disk_before_it_has_its_name(sshd: Server, tmp_path: Path) -> None:
    only_programs(sshd, replaced={"sync": SYNC})
    jobs = Jobs(sshd, tmp_path)

    with supervised(jobs.host, jobs.root, "first"):
        jobs.put("first", "a")

    digest = jobs.stored("a").name
    assert (jobs.root / "synced").read_text().splitlines() == [f"{digest}.part-first-vm-first"]


def start(jobs: Jobs, job: str) -> None:
    with dial(jobs.host.address, jobs.host.key, soon()) as link:
        Supervisor(job_folder(str(jobs.root), job)).start(link, soon(), patience_s=PATIENCE_S)


def kill_supervisor(jobs: Jobs, job: str) -> Path:
    """End a job's supervisor by force; gives the file that says who it was."""
    owner = jobs.root / f"job-{job}/.supervisor/owner"
    pid = int(owner.read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_running(pid))
    return owner


def cut_power(jobs: Jobs, job: str) -> None:
    """Leave of a job what is there after a power cut: its folder, of another boot."""
    owner = kill_supervisor(jobs, job)
    owner.write_text(" ".join([*owner.read_text().split()[:2], "another-boot\n"]))


@pytest.mark.parametrize("next_job", ["second", "first"])
def test_images_are_checked_after_a_power_cut_and_damaged_ones_sent_again(
    jobs: Jobs, next_job: str, caplog: pytest.LogCaptureFixture
) -> None:
    start(jobs, "first")
    for image in ("zeros", "short", "whole"):
        jobs.put("first", image)
    cut_power(jobs, "first")
    with jobs.stored("zeros").open("r+b") as file:
        file.write(bytes(MIB // 2))
    os.truncate(jobs.stored("short"), 1000)

    with supervised(jobs.host, jobs.root, next_job):
        sent = [jobs.put(next_job, image) for image in ("zeros", "short", "whole")]

        assert sent == [MIB, MIB, 0]
        assert jobs.kept == {"zeros", "short", "whole"}
    told = [text.split(" was damaged")[0] for text in caplog.messages if " was damaged" in text]
    assert told == ["the host's copy of zeros.img", "the host's copy of short.img"]


def test_host_that_cannot_check_an_image_after_a_power_cut_gets_it_again(
    sshd: Server, tmp_path: Path
) -> None:
    only_programs(sshd, lambda name: name != "sha256sum")
    jobs = Jobs(sshd, tmp_path)
    start(jobs, "first")
    jobs.put("first", "a")
    cut_power(jobs, "first")

    with supervised(jobs.host, jobs.root, "second"):
        assert jobs.put("second", "a") == MIB


def test_images_are_not_read_again_in_the_same_boot(sshd: Server, tmp_path: Path) -> None:
    checked = tmp_path / "checked"
    script = f'#!/bin/sh\necho x >>{checked}\nexec /usr/bin/sha256sum "$@"\n'
    only_programs(sshd, replaced={"sha256sum": script})
    jobs = Jobs(sshd, tmp_path)
    with supervised(jobs.host, jobs.root, "first"):
        jobs.put("first", "a")
        jobs.put("first", "b")
    with supervised(jobs.host, jobs.root, "second"):
        assert jobs.put("second", "a") == 0
    start(jobs, "third")
    kill_supervisor(jobs, "third")

    with supervised(jobs.host, jobs.root, "fourth"):
        assert [jobs.put("fourth", image) for image in ("a", "b")] == [0, 0]
        with dial(sshd.address, sshd.key, soon()) as link:
            Supervisor(job_folder(str(jobs.root), "third")).end(link, soon())

    assert checked.read_text() == "x\nx\n"  # when they had arrived


def test_images_in_use_keep_their_names_when_a_dead_job_is_removed_late(jobs: Jobs) -> None:
    start(jobs, "dead")
    cut_power(jobs, "dead")
    folder = jobs.root / "job-dead"
    remains = folder.rename(folder.with_name("remains"))
    with supervised(jobs.host, jobs.root, "running"):
        jobs.put("running", "a")
        remains.rename(folder)

        with supervised(jobs.host, jobs.root, "next"):
            assert jobs.stored("a").exists()


def test_limit_of_the_hosts_device_holds_for_a_job(
    images: None, sshd: Server, tmp_path: Path
) -> None:
    with local_lab(tmp_path, sshd, vm_store_limit=1) as lab:
        path = write_job(lab, job(guest("guest"), actions=guest_actions("guest")))

        ended = lab.run(path)

    assert ended.status == 4, ended.stderr
    assert "the host's image store may have 1 MiB, running jobs use 0 MiB of it" in ended.stderr
