# SPDX-License-Identifier: MIT
"""Files of tests stay inside their folder, even from a hostile archive or repository."""

from __future__ import annotations

import base64
import gzip
import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.testdefs import tree
from lava_vmgroup.testdefs.tree import TreeEntry, file_in, moved, read_folder, read_tar


def member(name: str, **fields: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> str:
    """A tar as base64 text."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry, content in members:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return base64.encodebytes(buffer.getvalue()).decode()


def test_an_archive_is_read() -> None:
    text = archive(
        (member("./lavatest.yaml"), b"x"),
        (member("bin", type=tarfile.DIRTYPE), b""),
        (member("bin/tool", mode=0o755), b"#!"),
        (member("bin/same", type=tarfile.SYMTYPE, linkname="../bin/tool"), b""),
        (member("hard", type=tarfile.LNKTYPE, linkname="bin/tool"), b""),
    )

    assert read_tar(text) == (
        TreeEntry(path="lavatest.yaml", content=b"x"),
        TreeEntry(path="bin/tool", content=b"#!", executable=True),
        TreeEntry(path="bin/same", link="../bin/tool"),
        TreeEntry(path="hard", content=b"#!"),
    )


def test_a_compressed_archive_is_read() -> None:
    plain = base64.b64decode(archive((member("a"), b"x")))

    packed = base64.b64encode(gzip.compress(plain)).decode()

    assert file_in(read_tar(packed), "a") == b"x"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([member("../x")], "'../x', which is outside"),
        ([member("/etc/passwd")], "'/etc/passwd', which is outside"),
        ([member("a/../../x")], "'a/../../x', which is outside"),
        ([member("..")], "'..', which is outside"),
        (
            [member("x", type=tarfile.SYMTYPE, linkname="../y")],
            "a link 'x' to '../y', outside of it",
        ),
        (
            [member("x", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
            "a link 'x' to '/etc/passwd', outside of it",
        ),
        (
            [member("x", type=tarfile.SYMTYPE, linkname="."), member("x/y")],
            "'x/y', which is outside of it",
        ),
        ([member("x", type=tarfile.CHRTYPE)], "'x', which is no file, folder or link"),
        ([member("x", type=tarfile.BLKTYPE)], "'x', which is no file, folder or link"),
        ([member("x", type=tarfile.FIFOTYPE)], "'x', which is no file, folder or link"),
        ([member("x", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "'x' to nothing"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(
    entries: list[tarfile.TarInfo], reason: str
) -> None:
    with pytest.raises(JobError, match=reason):
        read_tar(archive(*((entry, b"") for entry in entries)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no base64!", "is not base64 text"),
        (base64.b64encode(b"no tar").decode(), "cannot be read"),
        (
            base64.b64encode(base64.b64decode(archive((member("a"), bytes(9000))))[:5000]).decode(),
            "cannot be read|ends in the middle",
        ),
    ],
)
def test_an_archive_that_cannot_be_read_is_refused(text: str, reason: str) -> None:
    with pytest.raises(JobError, match=reason):
        read_tar(text)


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_BYTES", 1000)
    plain = base64.b64decode(archive((member("a"), bytes(600)), (member("b"), bytes(600))))

    with pytest.raises(JobError, match="the tar archive holds more than"):
        read_tar(base64.b64encode(gzip.compress(plain)).decode())


def test_a_folder_is_read_without_following_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub/file").write_bytes(b"x")
    (root / "tool").write_bytes(b"#!")
    (root / "tool").chmod(0o755)
    (root / "inside").symlink_to("sub/file")
    (root / "folder").symlink_to("sub")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "sub/up").symlink_to("../../other")
    os.mkfifo(root / "pipe")
    (root / ".git").mkdir()
    (root / ".git/config").write_text("secret")
    (root / "sub/.git").write_text("gitdir: elsewhere")

    found, left_out = read_folder(root)

    assert sorted(found, key=lambda entry: entry.path) == [
        TreeEntry(path="folder", link="sub"),
        TreeEntry(path="inside", link="sub/file"),
        TreeEntry(path="sub/file", content=b"x"),
        TreeEntry(path="tool", content=b"#!", executable=True),
    ]
    assert sorted(left_out) == ["absolute", "pipe", "sub/up"]


def test_a_folder_with_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_BYTES", 1000)
    (tmp_path / "a").write_bytes(bytes(1001))

    with pytest.raises(JobError, match="holds more than"):
        read_folder(tmp_path)


def test_a_tree_can_be_moved_into_a_folder() -> None:
    entries = (TreeEntry(path="a/b"), TreeEntry(path="c", link="a/b"))

    assert [entry.path for entry in moved(entries, "x/y")] == ["x/y/a/b", "x/y/c"]


def test_a_file_that_is_not_there_is_refused() -> None:
    entries = (TreeEntry(path="a"), TreeEntry(path="b", link="c"), TreeEntry(path="c", link="b"))
    for name in ("d", "b", "a/d"):
        with pytest.raises(JobError, match=f"there is no file {name}"):
            file_in(entries, name)


def test_a_file_is_found_through_links_of_files_and_folders() -> None:
    entries = (
        TreeEntry(path="sub/x.yaml", content=b"x"),
        TreeEntry(path="deep/up", link="../sub"),
        TreeEntry(path="link.yaml", link="deep/up/x.yaml"),
    )

    assert file_in(entries, "link.yaml") == file_in(entries, "deep/up/x.yaml") == b"x"


def test_a_long_chain_of_hard_links_is_followed() -> None:
    links = [
        (member(f"l{n}", type=tarfile.LNKTYPE, linkname=f"./l{n - 1}"), b"") for n in range(1, 1500)
    ]

    found = read_tar(archive((member("l0"), b"x"), *links))

    assert (len(found), file_in(found, "l1499")) == (1500, b"x")


def test_an_archive_that_is_much_and_holds_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tree, "MAX_BYTES", 1000)
    monkeypatch.setattr(tree, "_MAX_ENTRIES", 10)
    folder = member("folder", type=tarfile.DIRTYPE)
    folder.size = 1 << 20

    packed = gzip.compress(folder.tobuf() + bytes(folder.size + 1024))

    with pytest.raises(JobError, match="the tar archive holds more than"):
        read_tar(base64.b64encode(packed).decode())


def test_a_file_that_is_too_large_is_not_read_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MAX_BYTES", 1 << 20)
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(200 << 20)

    tracemalloc.start()
    try:
        with pytest.raises(JobError, match="holds more than 1 MiB"):
            read_folder(tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 << 20
