# SPDX-License-Identifier: MIT
"""Another cpio program reads the files that were added to a ramdisk."""

import bz2
import gzip
import io
import lzma
import stat
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.deploy import overlays
from lava_vmgroup.deploy.cpio import tree_of
from lava_vmgroup.deploy.overlays import Overlay, with_overlays

RAMDISK = gzip.compress(b"a ramdisk")


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE).stdout


def tar(*members: tarfile.TarInfo, content: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.mtime = kind, mode, link, 1_000_000_000
    return info


def cpio(*paths: str, folder: Path) -> bytes:
    """An archive of paths in a folder, made by a program that is not ours."""
    names = "".join(f"{path}\n" for path in paths).encode()
    command = ["busybox", "cpio", "-o", "-H", "newc"]
    return subprocess.run(command, input=names, cwd=folder, stdout=subprocess.PIPE).stdout


def unpacked(archives: list[bytes], folder: Path, ramdisk: bytes = RAMDISK) -> Path:
    """Add archives to a ramdisk, and unpack what was added."""
    (folder / "initrd").write_bytes(ramdisk)
    given = []
    for number, archive in enumerate(archives):
        path = folder / f"overlay{number}"
        path.write_bytes(archive)
        given.append(Overlay(path=path, name=path.name))

    with_overlays(folder / "initrd", given, folder / "made", soon())

    made = (folder / "made").read_bytes()
    start = -(-len(ramdisk) // 4) * 4
    assert made[:start] == ramdisk + bytes(start - len(ramdisk))
    root = folder / "root"
    root.mkdir()
    command = ["busybox", "cpio", "-idm"]
    subprocess.run(command, input=made[start:], cwd=root, check=True, capture_output=True)
    return root


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd])
def test_archive_is_added_whatever_it_is_compressed_with(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    content = bytes(range(256)) * 9 + b"x"
    archive = tar(member("./opt/tool", mode=0o755), content=content)

    root = unpacked([pack(archive)], tmp_path)

    assert (root / "opt/tool").read_bytes() == content
    assert stat.S_IMODE((root / "opt/tool").stat().st_mode) == 0o755
    assert (root / "opt/tool").stat().st_mtime == 1_000_000_000


def test_every_kind_of_member_arrives(tmp_path: Path) -> None:
    archive = tar(
        member("private/", tarfile.DIRTYPE, mode=0o700),
        member("private/file"),
        member("link", tarfile.SYMTYPE, link="private/file"),
        member("same", tarfile.LNKTYPE, link="private/file"),
        member("pipe", tarfile.FIFOTYPE),
        content=b"content",
    )

    root = unpacked([archive], tmp_path)

    assert stat.S_IMODE((root / "private").stat().st_mode) == 0o700
    assert (root / "link").readlink() == Path("private/file")
    assert (root / "same").read_bytes() == b"content"
    assert (root / "pipe").is_fifo()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstd])
def test_links_of_the_ramdisk_stay_links(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "usr/lib").mkdir(parents=True)
    (source / "lib").symlink_to("usr/lib")
    (source / "early").write_bytes(b"microcode")
    early = cpio("early", folder=source) + bytes(512)
    ramdisk = early + pack(cpio("usr", "usr/lib", "lib", folder=source))
    archive = tar(
        member("lib/", tarfile.DIRTYPE, mode=0o755),
        member("lib/modules/", tarfile.DIRTYPE, mode=0o755),
        member("lib/modules/x.ko"),
        content=b"module",
    )

    root = unpacked([archive], tmp_path, ramdisk)

    assert (root / "usr/lib/modules/x.ko").read_bytes() == b"module"
    assert [path.name for path in root.iterdir()] == ["usr"]


def test_later_archive_wins(tmp_path: Path) -> None:
    archives = [tar(member("etc/x"), content=text) for text in (b"first", b"second")]
    (tmp_path / "initrd").write_bytes(RAMDISK)
    given = []
    for number, archive in enumerate(archives):
        (tmp_path / f"{number}").write_bytes(archive)
        given.append(Overlay(path=tmp_path / f"{number}", name=f"{number}"))

    with_overlays(tmp_path / "initrd", given, tmp_path / "made", soon())

    made = (tmp_path / "made").read_bytes()
    assert made.index(b"first") < made.index(b"second")
    assert made.count(b"TRAILER!!!") == 1


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (tar(member("../x")), "overlay0 has a member outside its own folder"),
        (tar(member("x", tarfile.LNKTYPE, link="none")), "a link to nothing: 'x'"),
        (b"no archive" * 100, "overlay0 cannot be unpacked"),
        (gzip.compress(tar(member("x"), content=bytes(9000)))[:60], "overlay0 cannot be unpacked"),
    ],
    ids=["outside", "link", "garbage", "cut"],
)
def test_unusable_archive_is_the_jobs_fault(archive: bytes, expected: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=expected):
        unpacked([archive], tmp_path)


def test_ramdisk_with_a_uboot_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "uInitrd").write_bytes(b"\x27\x05\x19\x56" + bytes(100))

    with pytest.raises(JobError, match="uInitrd: it has a U-Boot header"):
        with_overlays(tmp_path / "uInitrd", [], tmp_path / "made", soon())


def test_a_long_chain_of_hard_links_is_followed(tmp_path: Path) -> None:
    links = [member(f"l{n}", tarfile.LNKTYPE, link=f"./l{n - 1}") for n in range(1, 1500)]

    root = unpacked([tar(member("l0"), *links, content=b"x")], tmp_path)

    assert (root / "l1499").read_bytes() == b"x"


def test_overlays_larger_than_a_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlays, "MAX_OVERLAYS", 1 << 20)
    deep = [member(f"{n:0100}/" * 20 + "x") for n in range(300)]

    with pytest.raises(JobError, match="a ramdisk becomes too large"):
        unpacked([tar(*deep)], tmp_path)
    with pytest.raises(JobError, match="overlay0 unpacks to more than 1 MiB"):
        unpacked([gzip.compress(bytes(2 << 20))], tmp_path)


def test_numbers_that_no_ramdisk_can_hold_become_the_nearest(tmp_path: Path) -> None:
    odd = member("odd")
    odd.uid, odd.gid, odd.mtime = -5, 1 << 40, -1.0

    unpacked([tar(odd, content=b"x")], tmp_path)

    head = (tmp_path / "made").read_bytes().partition(b"070701")[2][:104]
    numbers = [head[start : start + 8] for start in range(0, 104, 8)]
    assert numbers[2:4] == [b"00000000", b"FFFFFFFF"]
    assert numbers[5] == b"00000000"


def newc(name: str, mode: str, size: str, *, name_size: str = "") -> bytes:
    """The head of a member; its numbers are what they are said to be."""
    zero = "0" * 8
    numbers = [
        zero,
        mode,
        *[zero] * 4,
        size,
        *[zero] * 4,
        name_size or f"{len(name) + 1:08X}",
        zero,
    ]
    head = ("070701" + "".join(numbers) + name).encode() + b"\0"
    return head + bytes(-len(head) % 4)


@pytest.mark.parametrize(
    "broken",
    [
        newc("big", "000081A4", "FFFFFFFF"),
        newc("link", "0000A1FF", "FFFFFFFF"),
        newc("back", "000081A4", "-0000001"),
        newc("name", "000081A4", "00000000", name_size="FFFFFFFF"),
        newc("name", "000081A4", "00000000", name_size="-0000001"),
    ],
)
def test_what_a_ramdisk_announces_is_not_read_into_memory(broken: bytes, tmp_path: Path) -> None:
    good = newc("lib", "000041ED", "00000000")
    (tmp_path / "initrd").write_bytes(gzip.compress(good + broken + bytes(64 << 20), 1))

    tracemalloc.start()
    try:
        tree = tree_of(tmp_path / "initrd", soon())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert tree.folders == {"lib"}
    assert most < 16 << 20
