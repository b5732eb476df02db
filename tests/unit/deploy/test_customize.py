# SPDX-License-Identifier: MIT
"""Files are put into copies of real disk images, made here without root."""

import re
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.deploy import customize
from lava_vmgroup.deploy.customize import Partitions
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.filesystems import FileSystem, file_system, partitions
from tests.support.disk_images import EXT_AT, MIB, ext_image, two_partitions


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """FAT on partition 1 for booting, ext4 on partition 2 as the root."""
    return two_partitions(tmp_path)


def customized(
    image: Path, spec: Mapping[str, list[str]], files: JobFiles, root_part: int = 2
) -> Path:
    numbers = Partitions(boot=1, rootfs=root_part)
    wanted = customize.Customization(changes=customize.changes_of(spec), numbers=numbers)
    return customize.customized(image, wanted, files, soon(), NodeLog())


def opened(image: Path, number: int) -> FileSystem:
    found = file_system(image, partitions(image, soon())[number], soon())
    assert found is not None
    return found


def check(image: Path) -> None:
    """Have the file system's own checker look at what was made."""
    folder = image.parent
    with image.open("rb") as file:
        file.seek(EXT_AT)
        (folder / "root.ext4").write_bytes(file.read())
    command = ["/usr/sbin/e2fsck", "-fn", str(folder / "root.ext4")]
    result = subprocess.run(command, capture_output=True, text=True)
    # the partition is larger than the file system in it, which is fine
    assert result.returncode == 0, result.stdout


def test_files_are_put_into_both_partitions_of_a_copy(
    image: Path, job_files: JobFiles, tmp_path: Path
) -> None:
    before = image.read_bytes()
    content = bytes(range(256)) * 4000
    (tmp_path / "my tool").write_bytes(content)
    (tmp_path / "my tool").chmod(0o755)
    (tmp_path / "new.conf").write_text("new\n")

    made = customized(
        image,
        {
            "my tool": ["rootfs:/opt/deep/er/tool", "boot:/tools/tool"],
            "new.conf": ["rootfs:/etc", "rootfs:/lib/systemd/", "boot:/uEnv.txt"],
        },
        job_files,
    )

    boot, root = opened(made, 1), opened(made, 2)
    assert root.read("/opt/deep/er/tool") == boot.read("/tools/tool") == content
    assert root.mode("/opt/deep/er/tool") == 0o755
    assert root.read("/etc/new.conf") == root.read("/usr/lib/systemd/new.conf") == b"new\n"
    assert root.mode("/etc/new.conf") == 0o644
    assert boot.read("/uEnv.txt") == b"new\n"
    assert image.read_bytes() == before
    assert made.stat().st_blocks * 512 < 5 * MIB
    check(made)


def test_file_that_is_replaced_keeps_its_permissions(
    image: Path, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")

    made = customized(image, {"x": ["rootfs:/etc/secret", "rootfs:/etc/resolv.conf"]}, job_files)

    root = opened(made, 2)
    assert (root.read("/etc/secret"), root.mode("/etc/secret")) == (b"x", 0o600)
    assert root.read("/etc/resolv.conf") == b"x"  # and no longer a link
    check(made)


def test_files_of_the_image_are_copied_moved_and_deleted(image: Path, job_files: JobFiles) -> None:
    made = customized(
        image,
        {
            "rootfs:/etc/motd": ["boot:/motd.txt", "rootfs:/etc/motd.old", "delete"],
            "rootfs:/etc/secret": ["rootfs:/etc/copy"],
            "boot:/uEnv.txt": ["delete"],
            "rootfs:/etc/resolv.conf": ["delete"],
        },
        job_files,
    )

    boot, root = opened(made, 1), opened(made, 2)
    assert boot.read("/motd.txt") == root.read("/etc/motd.old") == b"welcome\n"
    assert (root.read("/etc/motd"), boot.read("/uEnv.txt")) == (None, None)
    assert root.mode("/etc/copy") == 0o600
    check(made)


def test_nodes_that_want_the_same_changes_share_a_copy(
    image: Path, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")
    made: list[Path] = []

    def run() -> None:
        made.append(customized(image, {"x": ["rootfs:/x"]}, job_files))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made[0] == made[1]
    assert customized(image, {"x": ["rootfs:/y"]}, job_files) != made[0]


def test_same_changes_make_the_same_image_in_every_job(
    image: Path, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")
    spec = {"x": ["rootfs:/a/x", "boot:/a/x", "boot:/uEnv.txt", "rootfs:/etc/motd"]}
    first = customized(image, spec, job_files)
    time.sleep(1.1)  # file systems count seconds; FAT counts every second one
    with JobFiles(tmp_path, DispatcherConfig(), tmp_path / "other") as other:
        assert customized(image, spec, other).read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    ("spec", "root_part", "expected"),
    [
        ({"rootfs:/etc/none": ["rootfs:/x"]}, 2, "the image has no file rootfs:/etc/none"),
        ({"rootfs:/etc/none": ["delete"]}, 2, "deleting /etc/none in disk.img failed: .*not found"),
        ({"boot:/none": ["delete"]}, 2, "deleting /none in disk.img failed"),
        ({"rootfs:/etc": ["delete"]}, 2, "deleting /etc in disk.img failed: .*directory"),
        ({"rootfs:/etc/motd": ["rootfs:/x"]}, 3, "no partition 3 for rootfs:, but 1, 2"),
        ({"big": ["rootfs:/x"]}, 2, "writing /x in disk.img failed: .*(space|allocate)"),
        ({"big": ["boot:/x"]}, 2, "writing /x in disk.img failed: .*full"),
        ({"a b": ["rootfs:/etc/"]}, 2, "'/etc/a b' is no name for a file in an image"),
    ],
)
def test_impossible_change_is_the_jobs_fault(
    spec: dict[str, list[str]],
    root_part: int,
    expected: str,
    image: Path,
    job_files: JobFiles,
    tmp_path: Path,
) -> None:
    (tmp_path / "big").write_bytes(b"x" * (12 * MIB))
    (tmp_path / "a b").write_bytes(b"x")

    with pytest.raises(JobError, match=expected):
        customized(image, spec, job_files, root_part)


def test_only_partition_is_meant_whatever_its_number(job_files: JobFiles, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "x").write_text("x")
    image = ext_image(tmp_path / "root", tmp_path / "vm.img")

    made = customized(image, {"x": ["rootfs:/x"]}, job_files)

    assert opened(made, 1).read("/x") == b"x"


def test_file_system_that_is_not_known_is_told(
    image: Path, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")
    with image.open("r+b") as file:
        file.seek(EXT_AT)
        file.write(bytes(4096))

    with pytest.raises(JobError, match="partition 2 of disk.img is neither ext2"):
        customized(image, {"x": ["rootfs:/x"]}, job_files)


def test_file_system_that_was_not_unmounted_is_not_changed(
    image: Path, job_files: JobFiles, tmp_path: Path
) -> None:
    target = f"{image}?offset={EXT_AT}"
    command = ["/usr/sbin/debugfs", "-w", "-R", "feature needs_recovery", target]
    subprocess.run(command, check=True, capture_output=True)

    with pytest.raises(JobError, match="was not unmounted"):
        customized(image, {"rootfs:/etc/motd": ["rootfs:/x"]}, job_files)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("x", "rootfs:/etc/../../x", "a path may not have .."),
        ("x", 'rootfs:/x"; quit', "a path may have letters, digits"),
        ("x", "rootfs:/x\nrm /etc/passwd", "a path may have letters, digits"),
        ("x", "rootfs:/<2>", "a path may have letters, digits"),
        ("rootfs:/etc/..", "boot:/x", "a path may not have .."),
        ("x", "/etc/x", "expected boot:/PATH, rootfs:/PATH or delete, got '/etc/x'"),
        ("x", "delete", "only a boot:/ or rootfs:/ path of the image can be deleted"),
        ("none", "rootfs:/x", "'none': cannot read .*No such file"),
        ("gopher://x/y", "rootfs:/x", "cannot fetch"),
    ],
)
def test_unusable_change_is_told_beforehand(
    source: str, target: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")

    (problem,) = customize.problems({source: [target]}, tmp_path)

    assert re.search(expected, problem)
