# SPDX-License-Identifier: MIT
"""Containers are unpacked, other files are refused by name, and odd disks are still disks."""

import base64
import gzip
import io
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.deploy.fetch import JobFiles, reference_problems
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.reference import FileReference
from tests.support.disk_images import ext_image, fat_image

IMAGES = Path(__file__).parent / "images"
MIB = 1 << 20
CRYPT_METHOD = 32
"""The place in the head of a qcow2 image; 1 is AES."""


def fetched(job_files: JobFiles, name: str) -> bytes:
    deadline = Deadline.after("the test", 60.0)
    return job_files.fetch(FileReference(url=name), deadline, NodeLog(), Unpack.DISK).read_bytes()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def by(*argv: str) -> Callable[[Path], bytes]:
    return lambda path: subprocess.run([*argv, path], stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image.zip", lambda path: zipfile.ZipFile(path).read("tmp.raw")),
        ("image.simg", lambda _: zipfile.ZipFile(IMAGES / "image.zip").read("tmp.raw")),
        ("image.img.lz4", by("lz4", "-dqc")),
        ("good.img.bz2", by("bzip2", "-dc")),
        ("padded.img.xz", by("xz", "-dc")),
        ("long28.img.zst", by("zstd", "-dqc", "--long=28")),
    ],
)
def test_image_in_a_container_is_unpacked_whole(
    name: str, expected: Callable[[Path], bytes], job_files: JobFiles, tmp_path: Path
) -> None:
    shutil.copy(IMAGES / name, tmp_path)

    assert fetched(job_files, name) == expected(IMAGES / name)


@pytest.mark.parametrize("name", ["bad.img.bz2", "login.img"])
def test_damaged_image_and_web_page_are_refused(
    name: str, job_files: JobFiles, tmp_path: Path
) -> None:
    shutil.copy(IMAGES / name, tmp_path)

    with pytest.raises(JobError, match="cannot be unpacked|is a web page"):
        fetched(job_files, name)


def test_zip_with_one_image_among_others_is_unpacked(job_files: JobFiles, tmp_path: Path) -> None:
    disk = os.urandom(4096)
    (tmp_path / "a.zip").write_bytes(zipped(("a/", b""), ("a/README", b"x"), ("a/d.img", disk)))

    assert fetched(job_files, "a.zip") == disk


@pytest.mark.parametrize("name", ["disk.img", "DISK.IMG", "core-image.wic", "disk.raw"])
def test_image_that_was_packed_on_a_mac_or_with_its_checksum_is_unpacked(
    name: str, job_files: JobFiles, tmp_path: Path
) -> None:
    disk, beside = os.urandom(4096), f"a/._{name}"
    members = ((f"__MACOSX/{beside}", b"x"), (beside, b"y"), (f"a/{name}", disk), ("SHA256", b"z"))
    (tmp_path / "a.zip").write_bytes(zipped(*members))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for path, content in members:
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))

    assert fetched(job_files, "a.zip") == fetched(job_files, "a.tar.gz") == disk


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archive_with_two_images_of_one_name_is_refused(
    job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(("d.img", bytes(900)), ("d.img", b"a" * 900)))

    with pytest.raises(JobError, match=r"no single disk image, but d\.img, d\.img"):
        fetched(job_files, "a.zip")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (zipped(("boot.img", b"x"), ("system.img", b"y")), "no single disk image, but boot.img"),
        (zipped(("d.img", os.urandom(9000)))[:5000], "cannot be unpacked"),
        (zipped(("d.img", bytes(9000)), method=zipfile.ZIP_STORED)[:-30], "cannot be unpacked"),
        (
            zipped(("d.img", b"a" * 900), method=zipfile.ZIP_STORED).replace(b"aaaa", b"aaab", 1),
            "cannot be unpacked: Bad CRC",
        ),
        ((IMAGES / "image.simg").read_bytes()[:20000], "cannot be unpacked"),
        (b"\x3a\xff\x26\xed\x01\x00", "cannot be unpacked"),
        (gzip.compress((IMAGES / "login.img").read_bytes()), "is a web page"),
    ],
    ids=["two images", "zip cut off", "no directory", "zip damaged", "sparse", "head", "inside"],
)
def test_damaged_or_ambiguous_container_is_refused(
    data: bytes, expected: str, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(data)

    with pytest.raises(JobError, match=expected):
        fetched(job_files, "image")


def converted(form: str) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        (folder / "raw").write_bytes(os.urandom(MIB))
        command = ["qemu-img", "convert", "-f", "raw", "-O", form, "raw", "made"]
        subprocess.run(command, check=True, cwd=folder)
        return (folder / "made").read_bytes()

    return make


def the(data: bytes) -> Callable[[Path], bytes]:
    return lambda _: data


def packed(*argv: str) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        (folder / "raw").write_bytes(os.urandom(4096))
        return subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.PIPE).stdout

    return make


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12345\n"
FOREIGN = {
    "7z": (the(b"7z\xbc\xaf\x27\x1c" + bytes(600)), "a 7z archive.*7z x"),
    "rar": (the(b"Rar!\x1a\x07\x01\x00" + bytes(600)), "a RAR archive.*unrar"),
    "cpio": (packed("sh", "-c", "echo raw | busybox cpio -o -H newc"), "a cpio archive.*ramdisk"),
    "deb": (the(b"!<arch>\ndebian-binary   " + bytes(600)), "a Debian package.*ar x"),
    "vmdk": (converted("vmdk"), "a VMDK image.*qemu-img convert"),
    "vdi": (converted("vdi"), "a VDI image.*qemu-img convert"),
    "vhd": (converted("vpc"), "a VHD image.*qemu-img convert"),
    "vhdx": (converted("vhdx"), "a VHDX image.*qemu-img convert"),
    "qed": (converted("qed"), "a QED image.*qemu-img convert"),
    "dmg": (the(os.urandom(4096) + b"koly" + bytes(508)), "a disk image of macOS.*qemu-img"),
    "elf": (the(b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xb7\x00" + bytes(600)), "an ELF program"),
    "kernel": (the(b"MZ" + bytes(0x36) + b"ARM\x64" + bytes(600)), "an arm64 Image"),
    "dtb": (the(b"\xd0\x0d\xfe\xed" + bytes(600)), "a device tree or FIT image"),
    "pdf": (the(b"%PDF-1.7\n%\xe2\xe3" + bytes(600)), "a PDF document"),
    "uf2": (the(b"UF2\nWQ]\x9e" + bytes(600)), "UF2"),
    "lfs": (the(LFS), "a pointer of git-lfs.*git lfs pull"),
    "json": (the(b'{"error": "not found"}' + b" " * 600), "a text that begins with .*not found"),
    "base64": (the(base64.encodebytes(os.urandom(2000))), "a text that begins with"),
    "html": (the(b"\xef\xbb\xbf\n  <!DOCTYPE HTML>" + b" " * 600), "a web page.*login"),
    "lzip": (the(b"LZIP\x01\x0c" + os.urandom(600)), "compressed by lzip.*lzip -d"),
    "utf-16 page": (the("\ufeff<!DOCTYPE html><html>".ljust(400).encode("utf-16-le")), "web page"),
    "utf-16 JSON": (the('{"error": "not found"}'.ljust(400).encode("utf-16-be")), "a text"),
    "latin-1": (the("Die Datei fehlt: gr\xfc\xdfe\n".encode("latin-1") * 30), "a text that begins"),
    "text with a zero": (the(b"line one\nline \0two\n" + b"and more\n" * 90), "a text that begins"),
    "Android": (the(b"ANDROID!" + os.urandom(3000)), "an Android boot image.*unpack_bootimg"),
    "casync": (
        the((48).to_bytes(8, "little") + bytes.fromhex("f99f127b9c4d8296") + os.urandom(600)),
        "an index of casync",
    ),
    "xar": (the(b"xar!\0\x1c" + os.urandom(600)), "a xar archive"),
    "zpaq": (the(b"7kSt\xa0\x31\x83\xd3\x8c\xb2\x28\xb0\xd3zPQ" + os.urandom(600)), "zpaq"),
    "zlib": (the(zlib.compress(os.urandom(2000))), "compressed by zlib"),
    "PNG": (the(b"\x89PNG\r\n\x1a\n" + os.urandom(600)), "a picture"),
    "JPEG": (the(b"\xff\xd8\xff\xe0" + os.urandom(600)), "a picture"),
    "Rockchip": (the(b"RKFW\x66\0" + os.urandom(600)), "firmware for Rockchip"),
    "Rockchip's parts": (the(b"RKAF" + os.urandom(600)), "firmware for Rockchip"),
    "Allwinner": (the(b"IMAGEWTY" + os.urandom(600)), "firmware for Allwinner"),
    "Amlogic": (the(os.urandom(8) + b"\x56\x19\xb5\x27" + os.urandom(600)), "for Amlogic"),
    "TRX": (the(b"HDR0" + os.urandom(600)), "for a router"),
    "UBI": (the(b"UBI#\x01" + os.urandom(600)), "raw flash memory .UBI"),
    "UBIFS": (the(b"\x31\x18\x10\x06" + os.urandom(600)), "raw flash memory .UBIFS"),
    "JFFS2": (the(b"\x85\x19\x03\x20" + os.urandom(600)), "raw flash memory .JFFS2"),
    "Android update": (the(b"CrAU" + os.urandom(600)), "an Android update"),
    "git bundle": (the(b"# v2 git bundle\n" + os.urandom(600)), "a git bundle"),
    "small": (the(os.urandom(511)), "511 bytes, less than a sector"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_file_that_is_no_disk_is_refused_by_name_before_anything_starts(
    kind: str, job_files: JobFiles, tmp_path: Path
) -> None:
    make, expected = FOREIGN[kind]
    (tmp_path / "disk.img").write_bytes(make(tmp_path))

    (problem,) = reference_problems(FileReference(url="disk.img"), tmp_path, Unpack.DISK)
    with pytest.raises(JobError) as caught:
        fetched(job_files, "disk.img")

    assert problem == caught.value.describe()
    assert re.search(expected, problem)


def test_file_that_is_not_packed_as_its_name_says_is_refused(
    job_files: JobFiles, tmp_path: Path
) -> None:
    damaged = bytearray(gzip.compress(os.urandom(2000)))
    damaged[1] ^= 1
    (tmp_path / "disk.img.gz").write_bytes(damaged)

    with pytest.raises(JobError, match=r"is called \.gz, but it is not packed like that"):
        fetched(job_files, "disk.img.gz")


@pytest.mark.parametrize(
    "suffix",
    [
        *("gz", "bz2", "xz", "lzma", "zst", "lz4", "tar", "tgz", "tbz", "tbz2", "txz", "tzst"),
        *("zip", "qcow2", "simg", "7z", "rar", "vhd", "vhdx", "vmdk", "wim", "cab", "html"),
    ],
)
def test_unknown_data_does_not_pass_under_the_name_of_a_packed_file(
    suffix: str, job_files: JobFiles, tmp_path: Path
) -> None:
    (tmp_path / f"disk.{suffix}").write_bytes(b"\x01" + os.urandom(4095))

    with pytest.raises(JobError, match=rf"is called \.{suffix}, but it is not packed like that"):
        fetched(job_files, f"disk.{suffix}")


def test_tar_without_a_magic_number_is_unpacked(job_files: JobFiles, tmp_path: Path) -> None:
    disk = os.urandom(4096)
    (tmp_path / "raw").write_bytes(disk)
    subprocess.run(["tar", "--format=v7", "-cf", "disk.img", "raw"], check=True, cwd=tmp_path)
    assert not tarfile.open(tmp_path / "disk.img").getmembers()[0].pax_headers  # noqa: SIM115

    assert fetched(job_files, "disk.img") == disk


@pytest.mark.parametrize("name", ["disk.img", "disk.img.lzma"])
@pytest.mark.parametrize(
    "options", [{"lc": 0, "lp": 2, "pb": 0}, {"dict_size": 4096}, {"dict_size": 3 << 15, "pb": 0}]
)
def test_lzma_with_other_properties_is_unpacked(
    options: dict[str, int], name: str, job_files: JobFiles, tmp_path: Path
) -> None:
    disk = os.urandom(4096)
    filters = [{"id": lzma.FILTER_LZMA1, **options}]
    packed = lzma.compress(disk, lzma.FORMAT_ALONE, filters=filters)
    (tmp_path / name).write_bytes(packed)

    assert fetched(job_files, name) == disk


def test_two_archives_in_one_zip_are_refused(job_files: JobFiles, tmp_path: Path) -> None:
    both = zipped(("a.img", os.urandom(900))) + zipped(("b.img", os.urandom(900)))
    (tmp_path / "a.zip").write_bytes(both)

    with pytest.raises(JobError, match="something else is in front of its archive"):
        fetched(job_files, "a.zip")


def squashfs(_: Path) -> bytes:
    return b"hsqs" + os.urandom(36) + (4096).to_bytes(8, "little") + os.urandom(4048)


DISKS: dict[str, Callable[[Path], bytes]] = {
    "blank": the(bytes(MIB)),
    "unknown": the(b"\x01" + os.urandom(MIB)),
    "a pattern": the(b"A" * 1024 + b"B" * 1024),
    "letters of no alphabet": the(b"\xc1\xe2\xe3ab\n" * 90),
    "one sector": the(b"\x01" + os.urandom(511)),
    "no whole sectors": the(b"\x01" + os.urandom(1000)),
    "squashfs": squashfs,
    "sector of text and zeros": the(b"a label\n".ljust(512, b"\0") + os.urandom(4096)),
    "zeros and a magic": the(bytes(4) + b"\x01" + bytes(4091)),
    "boot code": the(b"\xeb\x3c\x90" + b"text in the boot sector, and more of it" * 20),
    "ext4": lambda folder: ext_image(folder / "root", folder / "x", offset=0).read_bytes(),
    "partitions": lambda folder: fat_image(folder / "root", folder / "x").read_bytes(),
    "fixed VHD": the(os.urandom(4096) + b"conectix" + bytes(504)),
}


@pytest.mark.parametrize("kind", DISKS)
def test_odd_disk_is_taken_as_it_is(kind: str, job_files: JobFiles, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    data = DISKS[kind](tmp_path)
    (tmp_path / "disk.img").write_bytes(data)

    assert list(reference_problems(FileReference(url="disk.img"), tmp_path, Unpack.DISK)) == []
    assert fetched(job_files, "disk.img") == data


def test_encrypted_qcow2_is_refused(job_files: JobFiles, tmp_path: Path) -> None:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "disk.img", "1M"]
    subprocess.run(command, check=True, cwd=tmp_path)
    with (tmp_path / "disk.img").open("r+b") as file:
        file.seek(CRYPT_METHOD)
        file.write((1).to_bytes(4, "big"))

    with pytest.raises(JobError, match="no qcow2 image that qemu-img can read:.*encrypt"):
        fetched(job_files, "disk.img")
