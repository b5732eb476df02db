# SPDX-License-Identifier: MIT
"""A packed image is what its own tool makes of it, or it is refused: whole, padded, damaged."""

import bz2
import gzip
import io
import lzma
import random
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.reference import FileReference

GENERATOR = random.Random(4711)  # noqa: S311 (the same corpus each time)
PARTS = [GENERATOR.randbytes(1536), bytes(2048) + GENERATOR.randbytes(512), b"\xff" * 1024]
WARNED = 2
"""The status of gzip for a whole file with trailing data."""


@dataclass(frozen=True)
class Format:
    suffix: str
    pack: Callable[[bytes], bytes]
    tool: tuple[str, ...]
    fine: tuple[int, ...] = (0,)

    def unpacked(self, packed: bytes) -> bytes | None:
        """Return the tool's output for a file; None if the tool fails."""
        done = subprocess.run(self.tool, input=packed, capture_output=True)
        return done.stdout if done.returncode in self.fine else None


def program(*argv: str) -> Callable[[bytes], bytes]:
    return lambda data: subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout


def archive(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in (("README", b"read me"), ("disk.img", data), ("last", b"the end")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


FORMATS = {
    "gzip": Format(".gz", gzip.compress, ("gzip", "-dc"), (0, WARNED)),
    "bzip2": Format(".bz2", bz2.compress, ("bzip2", "-dc")),
    "xz": Format(".xz", lzma.compress, ("xz", "-dc")),
    "lzma": Format(
        ".lzma", lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE), ("xz", "-dc")
    ),
    "zstd": Format(".zst", program("zstd", "-qc"), ("zstd", "-dqc")),
    "lz4": Format(".lz4", program("lz4", "-qc"), ("lz4", "-dqc")),
    "tar": Format(".tar", archive, ("tar", "-xOf", "-", "disk.img")),
    "tar.gz": Format(
        ".tar.gz",
        lambda data: gzip.compress(archive(data)),
        (
            *("bash", "-c"),
            f"set -o pipefail; {{ gzip -dc || [ $? = {WARNED} ]; }} | "
            "{ tar -xOf - disk.img; status=$?; cat >/dev/null; exit $status; }",
        ),
    ),
}


def whole(streams: list[bytes]) -> Iterator[bytes]:
    yield streams[0]
    yield b"".join(streams)


def followed(streams: list[bytes]) -> Iterator[bytes]:
    all_of_it = b"".join(streams)
    for behind in (
        *(bytes(3), bytes(4), bytes(512), b"\n", b"garbage that is no stream at all"),
        *(streams[0][:1], streams[0][:3], streams[0][:9], streams[0][:-1]),
        *(bytes(8) + streams[0], b"garbage" + streams[0], b"PK\x03\x04", b"BZh9", b"\x1f\x8b"),
    ):
        yield all_of_it + behind
    yield streams[0] + bytes(4) + b"".join(streams[1:])


def cut_off(streams: list[bytes]) -> Iterator[bytes]:
    all_of_it = b"".join(streams)
    ends = [len(b"".join(streams[:count])) for count in range(1, len(streams))]
    places = {end + step for end in ends for step in (-8, -1, 0, 1, 2, 5, 11)}
    places |= set(range(1, len(all_of_it), max(1, len(all_of_it) // 16)))
    yield from (all_of_it[:place] for place in sorted(places) if place > 0)


def flipped(streams: list[bytes]) -> Iterator[bytes]:
    all_of_it = b"".join(streams)
    second = len(streams[0])
    places = {*range(10), *range(second - 9, second + 10)}
    places |= set(range(10, len(all_of_it), max(1, len(all_of_it) // 16)))
    for place in sorted(places & set(range(len(all_of_it)))):
        damaged = bytearray(all_of_it)
        damaged[place] ^= 1 << (place % 8)
        yield bytes(damaged)


@pytest.mark.parametrize("cases", [whole, followed, cut_off, flipped])
@pytest.mark.parametrize("name", FORMATS)
def test_packed_image_is_what_its_tool_makes_of_it_or_is_refused(
    name: str,
    cases: Callable[[list[bytes]], Iterator[bytes]],
    job_files: JobFiles,
    tmp_path: Path,
) -> None:
    form = FORMATS[name]
    silent: list[tuple[int, int]] = []
    for number, packed in enumerate(cases(list(map(form.pack, PARTS)))):
        path = tmp_path / f"{number}.img{form.suffix}"
        path.write_bytes(packed)
        expected = form.unpacked(packed)
        deadline = Deadline.after("the test", 60.0)
        reference = FileReference(url=path.name)
        try:
            image = job_files.fetch(reference, deadline, NodeLog(), Unpack.DISK)
        except JobError:
            if cases is whole and expected is not None:
                raise
            continue
        if image.read_bytes() != expected:
            silent.append((number, image.stat().st_size))

    assert silent == []


@pytest.mark.parametrize("name", FORMATS)
def test_file_that_a_tool_takes_with_what_follows_it_is_taken(
    name: str, job_files: JobFiles, tmp_path: Path
) -> None:
    form = FORMATS[name]
    stream = form.pack(PARTS[0])
    for number, behind in enumerate((bytes(512), b"garbage that is no stream at all")):
        expected = form.unpacked(stream + behind)
        if expected is None:
            continue
        path = tmp_path / f"{number}.img"
        path.write_bytes(stream + behind)
        deadline = Deadline.after("the test", 60.0)
        image = job_files.fetch(FileReference(url=path.name), deadline, NodeLog(), Unpack.DISK)
        assert image.read_bytes() == expected


def refused(job_files: JobFiles, tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "disk").write_bytes(packed)
    deadline = Deadline.after("the test", 60.0)
    with pytest.raises(JobError, match="cannot be unpacked"):
        job_files.fetch(FileReference(url="disk"), deadline, NodeLog(), Unpack.DISK)


def test_damage_behind_the_archive_in_a_packed_file_is_found(
    job_files: JobFiles, tmp_path: Path
) -> None:
    packed = bytearray(gzip.compress(archive(PARTS[0]) + GENERATOR.randbytes(5 << 20), 1))
    packed[-8] ^= 1  # its checksum

    refused(job_files, tmp_path, bytes(packed))


def test_damaged_header_behind_the_image_is_no_end_of_the_archive(
    job_files: JobFiles, tmp_path: Path
) -> None:
    damaged = archive(PARTS[0]).replace(b"last\0", b"lost\0")

    assert FORMATS["tar"].unpacked(damaged) is None
    refused(job_files, tmp_path, damaged)
