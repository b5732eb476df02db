# SPDX-License-Identifier: MIT
"""Images and kernels are unpacked by what they are; the archives are real ones."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError, PeerFailed
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.deploy import unpack
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.reference import FileReference

MIB = 1 << 20
ARM64_IMAGE = bytes(0x38) + b"ARM\x64" + os.urandom(5000)


def soon(token: CancelToken | None = None) -> Deadline:
    return Deadline.after("the test", 60.0, token)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE).stdout


def tar(*members: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def one_file(data: bytes) -> bytes:
    return tar(("./disk", data))


def qcow2(data: bytes) -> bytes:
    folder = Path(os.environ["PYTEST_TMP"])
    (folder / "raw").write_bytes(data)
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "raw", "qcow2"]
    subprocess.run(command, check=True, cwd=folder)
    return (folder / "qcow2").read_bytes()


@pytest.fixture(autouse=True)
def _folder_for_qcow2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path / "scratch"))


@pytest.fixture
def disk() -> bytes:
    """A raw image of whole sectors: something at both ends and nothing in between."""
    return os.urandom(70_144) + bytes(20 * MIB) + os.urandom(1024)


Pack = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "layers",
    [
        [gzip.compress],
        [bz2.compress],
        [lzma.compress],
        [zstd],
        [one_file],
        [qcow2],
        [one_file, lzma.compress],
        [one_file, zstd],
        [qcow2, gzip.compress],
        [qcow2, one_file, bz2.compress],
    ],
    ids=lambda layers: "+".join(layer.__name__ for layer in layers),
)
def test_disk_image_is_unpacked_whatever_it_is_called_and_its_zeros_take_no_room(
    layers: list[Pack], disk: bytes, job_files: JobFiles, tmp_path: Path
) -> None:
    data = disk
    for layer in layers:
        data = layer(data)
    (tmp_path / "image").write_bytes(data)

    image = job_files.fetch(FileReference(url="image"), soon(), NodeLog(), Unpack.DISK)

    assert image.read_bytes() == disk
    assert image.stat().st_blocks * 512 < MIB


@pytest.mark.parametrize("name", ["image", "image.gz"])
def test_raw_image_is_used_where_it_is(
    name: str, job_files: JobFiles, disk: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(disk[:510] + b"\x55\xaa" + disk[512:])

    image = job_files.fetch(FileReference(url=name), soon(), NodeLog(), Unpack.DISK)

    assert image == tmp_path / name


def test_unpacked_image_loses_the_suffixes_of_its_name(
    job_files: JobFiles, disk: bytes, tmp_path: Path
) -> None:
    (tmp_path / "vm.img.tar.xz").write_bytes(lzma.compress(one_file(disk)))

    image = job_files.fetch(FileReference(url="vm.img.tar.xz"), soon(), NodeLog(), Unpack.DISK)

    assert image.name == "vm.img"


def test_the_image_among_other_files_is_taken(
    job_files: JobFiles, disk: bytes, tmp_path: Path
) -> None:
    members = [("a/README", b"read me"), ("a/disk.img", disk), ("a/kernel", b"kernel")]
    (tmp_path / "all.tar").write_bytes(tar(*members))

    image = job_files.fetch(FileReference(url="all.tar"), soon(), NodeLog(), Unpack.DISK)

    assert image.read_bytes() == disk


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tar(("a", b"x"), ("b", b"y")), "no single disk image, but a, b"),
        (tar(("a.img", b"x"), ("b.img", b"y")), "no single disk image, but a.img, b.img"),
        (tar(("../disk.img", b"x")), "a member outside its own folder: '../disk.img'"),
        (tar(("a/../../disk.img", b"x")), "outside its own folder"),
        (tar(("/etc/disk.img", b"x")), "outside its own folder"),
        (gzip.compress(os.urandom(9000))[:5000], "cannot be unpacked"),
        (lzma.compress(os.urandom(9000))[:5000], "cannot be unpacked"),
        (bz2.compress(os.urandom(9000))[:5000], "cannot be unpacked"),
        (zstd(os.urandom(9000))[:5000], "cannot be unpacked"),
        (b"QFI\xfb" + os.urandom(5000), "no qcow2 image that qemu-img can read"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x")))), "more than 4 times"),
    ],
    ids=[
        "two files",
        "two images",
        "outside",
        "outside by a folder",
        "absolute",
        "gzip cut off",
        "xz cut off",
        "bzip2 cut off",
        "zstd cut off",
        "qcow2 damaged",
        "packed too often",
    ],
)
def test_unusable_archive_is_the_jobs_fault_and_leaves_nothing(
    data: bytes, expected: str, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "packed").write_bytes(data)

    with pytest.raises(JobError, match=expected):
        job_files.fetch(FileReference(url="packed"), soon(), NodeLog(), Unpack.DISK)
    assert list((tmp_path / "cache/scratch").iterdir()) == []
    assert not list((tmp_path / "cache").glob("unpacked/*"))


def test_qcow2_over_another_file_is_refused(job_files: JobFiles, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(MIB))
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "secret", "top"]
    subprocess.run(command, check=True, cwd=tmp_path)

    with pytest.raises(JobError, match="a qcow2 image over another file"):
        job_files.fetch(FileReference(url="top"), soon(), NodeLog(), Unpack.DISK)


@pytest.mark.parametrize(
    ("name", "content", "unpacked"),
    [
        ("Image.gz", ARM64_IMAGE, True),
        ("vmlinuz", ARM64_IMAGE, True),  # as Ubuntu calls it
        ("Image.gz", os.urandom(5000), False),  # nothing that can be booted inside
        ("board.dtb.gz", b"\xd0\x0d\xfe\xed" + bytes(100), True),
    ],
)
def test_kernel_is_unpacked_when_there_is_one_inside(
    name: str, content: bytes, unpacked: bool, job_files: JobFiles, tmp_path: Path
) -> None:
    packed = gzip.compress(content)
    (tmp_path / name).write_bytes(packed)

    kernel = job_files.fetch(FileReference(url=name), soon(), NodeLog(), Unpack.KERNEL)

    assert kernel.read_bytes() == (content if unpacked else packed)


def test_packed_file_is_no_disk_by_the_chance_of_its_bytes(
    job_files: JobFiles, tmp_path: Path
) -> None:
    content = bytearray(os.urandom(5000))
    content[495:497] = b"\x55\xaa"  # becomes the mark of a boot sector
    packed = gzip.compress(content, 0)
    assert packed[510:512] == b"\x55\xaa"
    (tmp_path / "firmware.gz").write_bytes(packed)

    kernel = job_files.fetch(FileReference(url="firmware.gz"), soon(), NodeLog(), Unpack.KERNEL)

    assert kernel.read_bytes() == packed


def test_image_that_was_unpacked_by_other_rules_is_unpacked_again(
    job_files: JobFiles, disk: bytes, tmp_path: Path
) -> None:
    packed = gzip.compress(disk)
    (tmp_path / "disk.img.gz").write_bytes(packed)
    kept = tmp_path / "cache/unpacked"
    kept.mkdir(parents=True)
    (kept / hashlib.sha256(packed).hexdigest()).write_bytes(disk[:1024])

    image = job_files.fetch(FileReference(url="disk.img.gz"), soon(), NodeLog(), Unpack.DISK)

    assert image.read_bytes() == disk


def test_cancel_ends_unpacking(job_files: JobFiles, disk: bytes, tmp_path: Path) -> None:
    (tmp_path / "disk.zst").write_bytes(zstd(disk))
    token = CancelToken()
    token.cancel(PeerFailed("stop"))

    with pytest.raises(PeerFailed, match="stop"):
        job_files.fetch(FileReference(url="disk.zst"), soon(token), NodeLog(), Unpack.DISK)


def sparse_tar(size: int) -> bytes:
    """A member of `size` bytes that are all in one hole."""
    info = tarfile.TarInfo("disk.img")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "disk.img",
        "GNU.sparse.realsize": str(size),
    }
    content = b"1\n%d\n0\n" % size
    info.size = 512
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(content + bytes(512 - len(content))))
    return stream.getvalue()


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        zstd,
        one_file,
        qcow2,
        lambda _: sparse_tar(1 << 40),
    ],
    ids=["gzip", "bzip2", "xz", "zstd", "tar", "qcow2", "hole"],
)
def test_what_unpacks_to_more_than_any_image_is_refused(
    pack: Pack, job_files: JobFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_UNPACKED", MIB)
    (tmp_path / "bomb").write_bytes(pack(bytes(3 * MIB)))

    with pytest.raises(JobError, match="bomb unpacks to more than 1 MiB"):
        job_files.fetch(FileReference(url="bomb"), soon(), NodeLog(), Unpack.DISK)

    assert not list((tmp_path / "cache/scratch").iterdir())


def xz_with_dictionary(size: int, data: bytes) -> bytes:
    """A file whose header says a dictionary of ``2 << size / 2 + 11`` bytes for an even `size`."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]
    packed = bytearray(lzma.compress(data, filters=filters))
    packed[16] = size
    packed[20:24] = zlib.crc32(packed[12:20]).to_bytes(4, "little")
    return bytes(packed)


def test_xz_with_a_large_dictionary_is_unpacked(job_files: JobFiles, tmp_path: Path) -> None:
    disk = bytes(512) + os.urandom(512)
    (tmp_path / "image").write_bytes(xz_with_dictionary(34, disk))  # 512 MiB

    image = job_files.fetch(FileReference(url="image"), soon(), NodeLog(), Unpack.DISK)

    assert image.read_bytes() == disk


def test_xz_that_wants_all_of_the_memory_is_refused(job_files: JobFiles, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(xz_with_dictionary(40, b"x" * 1000))  # 4 GiB

    with pytest.raises(JobError, match="unpacking image takes more than 1024 MiB of memory"):
        job_files.fetch(FileReference(url="image"), soon(), NodeLog(), Unpack.DISK)


def test_zstd_that_wants_all_of_the_memory_is_refused(job_files: JobFiles, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(600))  # --long=31

    with pytest.raises(JobError, match="unpacking image takes more than 1024 MiB of memory"):
        job_files.fetch(FileReference(url="image"), soon(), NodeLog(), Unpack.DISK)


def test_xz_of_several_parts_is_unpacked_whole(job_files: JobFiles, tmp_path: Path) -> None:
    parts = [os.urandom(512), bytes(3 * MIB), os.urandom(512)]
    (tmp_path / "image").write_bytes(b"".join(map(lzma.compress, parts)) + bytes(8))

    image = job_files.fetch(FileReference(url="image"), soon(), NodeLog(), Unpack.DISK)

    assert image.read_bytes() == b"".join(parts)
