# SPDX-License-Identifier: MIT
"""An image that is cut off is refused before anything is written; an odd but whole one is not."""

import gzip
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.deploy.fetch import JobFiles, reference_problems
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.reference import FileReference

MIB = 1 << 20
SIZE = 32 * MIB


def fetched(job_files: JobFiles, name: str) -> bytes:
    deadline = Deadline.after("the test", 60.0)
    return job_files.fetch(FileReference(url=name), deadline, NodeLog(), Unpack.DISK).read_bytes()


def qcow2(folder: Path, *options: str) -> bytes:
    (folder / "raw").write_bytes(os.urandom(3 * MIB) + bytes(5 * MIB))
    command = ["qemu-img", "convert", *options, "-O", "qcow2", "raw", "made"]
    subprocess.run(command, check=True, cwd=folder)
    return (folder / "made").read_bytes()


ENDS = (700, 5000, 100_000, 300_000, MIB, -70_000)


@pytest.mark.parametrize(
    ("options", "end"),
    [*(((), end) for end in (*ENDS, -1000)), *((("-c",), end) for end in ENDS)],
)
def test_qcow2_that_is_cut_off_is_refused(
    options: tuple[str, ...], end: int, job_files: JobFiles, tmp_path: Path
) -> None:
    whole = qcow2(tmp_path, *options)
    (tmp_path / "cut.qcow2").write_bytes(whole[:end])
    (tmp_path / "cut.qcow2.gz").write_bytes(gzip.compress(whole[:end], 1))

    for name in ("cut.qcow2", "cut.qcow2.gz"):
        with pytest.raises(JobError, match=f"{name} is (a damaged|no) qcow2 image"):
            fetched(job_files, name)


@pytest.mark.parametrize("options", [(), ("-c",), ("-o", "preallocation=metadata")])
def test_whole_qcow2_is_taken(
    options: tuple[str, ...], job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "disk.qcow2").write_bytes(qcow2(tmp_path, *options))

    assert fetched(job_files, "disk.qcow2") == (tmp_path / "raw").read_bytes()


def partitioned(script: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(SIZE)
        subprocess.run(
            ["sfdisk", "-q", str(path)], input=script.encode(), check=True, capture_output=True
        )

    return make


def formatted(*argv: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(SIZE)
        subprocess.run([*argv, str(path)], check=True, capture_output=True)

    return make


LAYOUTS = {
    "GPT": partitioned("label: gpt\nstart=2048, size=16384\nstart=18432, size=43008\n"),
    "DOS": partitioned("label: dos\nstart=2048, size=16384\nstart=18432, size=47104, type=83\n"),
    "logical": partitioned(
        "label: dos\nstart=2048, size=2048\nstart=4096, size=61440, type=5\n"
        "start=6144, size=2048\nstart=10240, size=55296\n"
    ),
    "ext4": formatted("mke2fs", "-q", "-t", "ext4"),
    "FAT": formatted("mkfs.fat", "-F", "32"),
}
KINDS = {"ext4": r"file system \(ext\)", "FAT": r"file system \(FAT\)"}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_raw_image_that_is_cut_off_is_refused(
    kind: str, job_files: JobFiles, tmp_path: Path
) -> None:
    path = tmp_path / "disk.img"
    LAYOUTS[kind](path)
    assert fetched(job_files, "disk.img") == path.read_bytes()
    os.truncate(path, 9 * MIB)

    expected = f"disk.img has 9 MiB, its {KINDS.get(kind, 'partition table')} needs 3[0-2] MiB"
    (problem,) = reference_problems(FileReference(url="disk.img"), tmp_path, Unpack.DISK)
    with (
        JobFiles(tmp_path, job_files._config, tmp_path / "again") as files,
        pytest.raises(JobError, match=expected),
    ):
        fetched(files, "disk.img")

    assert "is it cut off?" in problem


def test_words_that_a_file_system_does_not_use_are_not_read(
    job_files: JobFiles, tmp_path: Path
) -> None:
    path = tmp_path / "disk.img"
    formatted("mke2fs", "-q", "-t", "ext2", "-O", "^64bit")(path)
    with path.open("r+b") as file:
        file.seek(0x550)  # half of the size, in file systems of 64 bits
        file.write(b"\x01")

    assert fetched(job_files, "disk.img") == path.read_bytes()


def of_folder(*argv: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        folder = path.with_name("content")
        folder.mkdir()
        (folder / "file").write_bytes(os.urandom(MIB))
        words = [{"IMAGE": str(path), "FOLDER": str(folder)}.get(word, word) for word in argv]
        subprocess.run(words, check=True, capture_output=True)

    return make


def large(*argv: str) -> Callable[[Path], None]:
    """For file systems of which no small ones are made."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(320 * MIB)
        subprocess.run([*argv, str(path)], check=True, capture_output=True)

    return make


def with_boot_sector(path: Path) -> None:
    """As EXTLINUX installs it."""
    LAYOUTS["ext4"](path)
    with path.open("r+b") as file:
        file.write(b"\xeb\x58\x90" + b"\x90" * 507 + b"\x55\xaa")


def without_protective_table(path: Path) -> None:
    LAYOUTS["GPT"](path)
    with path.open("r+b") as file:
        file.write(bytes(512))


FILE_SYSTEMS = {
    "ext": with_boot_sector,
    "XFS": large("mkfs.xfs", "-q"),
    "btrfs": large("mkfs.btrfs", "-q"),
    "squashfs": of_folder("mksquashfs", "FOLDER", "IMAGE"),
    "F2FS": large("mkfs.f2fs", "-q"),
    "EROFS": of_folder("mkfs.erofs", "IMAGE", "FOLDER"),
    "ISO 9660": of_folder("genisoimage", "-quiet", "-o", "IMAGE", "FOLDER"),
    "partition table": without_protective_table,
}


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_file_system_of_any_kind_says_where_it_ends(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    FILE_SYSTEMS[kind](path)
    reference = FileReference(url="disk.img")
    assert list(reference_problems(reference, tmp_path, Unpack.DISK)) == []

    os.truncate(path, path.stat().st_size // 2)

    (problem,) = reference_problems(reference, tmp_path, Unpack.DISK)
    assert kind in problem
    assert "is it cut off?" in problem


@pytest.mark.parametrize(
    ("kind", "size"), [("GPT", 61440 * 512), ("DOS", 65536 * 512), ("logical", 65536 * 512)]
)
def test_image_that_ends_with_its_last_partition_is_taken(
    kind: str, size: int, job_files: JobFiles, tmp_path: Path
) -> None:
    path = tmp_path / "disk.img"
    LAYOUTS[kind](path)
    os.truncate(path, size)  # without GPT's second header

    assert len(fetched(job_files, "disk.img")) == size


@pytest.mark.parametrize("kind", ["GPT", "DOS"])
def test_image_that_ends_with_the_squashfs_of_its_last_partition_is_taken(
    kind: str, job_files: JobFiles, tmp_path: Path
) -> None:
    path = tmp_path / "disk.img"
    LAYOUTS[kind](path)
    start, used = 18432 * 512, 100_000
    os.truncate(path, start)
    with path.open("ab") as file:
        file.write(b"hsqs" + bytes(36) + used.to_bytes(8, "little") + os.urandom(used - 48))

    assert len(fetched(job_files, "disk.img")) == start + used
    os.truncate(path, start + used - 1)
    (problem,) = reference_problems(FileReference(url="disk.img"), tmp_path, Unpack.DISK)
    assert "is it cut off?" in problem


def test_partition_table_beyond_all_disks_is_refused(job_files: JobFiles, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    LAYOUTS["GPT"](path)
    with path.open("r+b") as file:
        file.seek(512 + 72)
        file.write(b"\xff" * 8)

    with pytest.raises(JobError, match="is it cut off"):
        fetched(job_files, "disk.img")


def test_packed_partitions_that_are_cut_off_are_refused(
    job_files: JobFiles, tmp_path: Path
) -> None:
    path = tmp_path / "disk.img"
    LAYOUTS["DOS"](path)
    (tmp_path / "disk.img.gz").write_bytes(gzip.compress(path.read_bytes()[: 9 * MIB], 1))

    with pytest.raises(JobError, match="has 9 MiB, its partition table needs 32 MiB"):
        fetched(job_files, "disk.img.gz")


def test_packed_file_system_that_is_too_short_is_told(job_files: JobFiles, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    LAYOUTS["ext4"](path)
    (tmp_path / "disk.img.gz").write_bytes(gzip.compress(path.read_bytes()[: 9 * MIB], 1))
    log = Warnings()

    job_files.fetch(FileReference(url="disk.img.gz"), Deadline.after("x", 60.0), log, Unpack.DISK)

    assert "disk.img has 9 MiB, its file system (ext) needs 32 MiB: is it cut off?" in log.told


class Warnings(NodeLog):
    """A log that keeps its warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def warning(self, kind: str, message: str, **fields: object) -> None:
        """See `NodeLog`."""
        super().warning(kind, message, **fields)
        self.told.append(message)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("gzip", "gzip: stdin: decompression OK, trailing garbage ignored"),
        ("bzip2", "bzip2: (stdin): trailing garbage after EOF ignored"),
    ],
)
def test_trailing_data_that_a_tool_ignores_is_told_each_time(
    tool: str, words: str, job_files: JobFiles, tmp_path: Path
) -> None:
    disk = os.urandom(4096)
    packed = subprocess.run([tool, "-c"], input=disk, stdout=subprocess.PIPE, check=True).stdout
    (tmp_path / "disk.img").write_bytes(packed + b"this is no stream")
    for folder in ("first", "second"):
        log = Warnings()
        with JobFiles(tmp_path, job_files._config, tmp_path / folder) as files:
            image = files.fetch(
                FileReference(url="disk.img"), Deadline.after("x", 60.0), log, Unpack.DISK
            )

        assert image.read_bytes() == disk
        assert log.told == [f"disk.img: {words}"]


def frame(size: int, number: int = 0) -> bytes:
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + size.to_bytes(4, "little") + os.urandom(size)


@pytest.mark.parametrize("tool", ["zstd", "lz4"])
@pytest.mark.parametrize(
    "frames",
    [frame(1016), frame(70_000, 15), b"".join(frame(4, number % 16) for number in range(500))],
    ids=["1 KiB", "large", "many"],
)
@pytest.mark.parametrize("name", ["disk.img", "disk.img.zst"])
def test_stream_behind_frames_without_data_is_unpacked(
    name: str, frames: bytes, tool: str, job_files: JobFiles, tmp_path: Path
) -> None:
    disk = os.urandom(4096)
    packed = subprocess.run(
        [tool, "-q", "-c"], input=disk, stdout=subprocess.PIPE, check=True
    ).stdout
    (tmp_path / name).write_bytes(frames + packed)

    assert fetched(job_files, name) == disk


@pytest.mark.parametrize("name", ["disk.img", "disk.img.zst"])
def test_frames_without_data_and_nothing_behind_them_are_no_disk(
    name: str, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(frame(2000) + os.urandom(2000))

    with pytest.raises(JobError, match="is frames without data of zstd or lz4"):
        fetched(job_files, name)


def test_raw_disk_with_the_name_of_a_packed_one_is_told(
    job_files: JobFiles, tmp_path: Path
) -> None:
    LAYOUTS["DOS"](tmp_path / "disk.img.gz")
    log = Warnings()

    job_files.fetch(FileReference(url="disk.img.gz"), Deadline.after("x", 60.0), log, Unpack.DISK)

    assert log.told == ["disk.img.gz is called .gz, but it is not packed: it is used as it is"]
