# SPDX-License-Identifier: MIT
"""A boot medium: a disk file, or a loop device where the machine lends one."""

import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError, VMGroupError
from lava_vmgroup.deploy import media
from lava_vmgroup.deploy.media import write_image
from tests.support.loop_devices import loop_device
from tests.support.missing import missing


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def write(image: Path, medium: Path) -> None:
    write_image(image, medium, soon(), lambda *_: None)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = tmp_path / "host.img"
    made.write_bytes(os.urandom(3_000_000))
    return made


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes block devices of so many bytes, with the files disk0, disk1... behind them."""
    numbers = itertools.count()
    with ExitStack() as made:
        yield lambda size, *options: made.enter_context(
            loop_device(tmp_path / f"disk{next(numbers)}", size, *options)
        )


def test_medium_becomes_the_image_and_holes_stay_holes(tmp_path: Path) -> None:
    image, medium = tmp_path / "host.img", tmp_path / "sdcard"
    medium.write_bytes(b"the card's old content" * 1_000_000)
    with image.open("wb") as file:
        file.write(b"boot")
        file.seek(50_000_000)
        file.write(b"root")
        file.truncate(60_000_001)
    told: list[tuple[int, int]] = []

    write_image(image, medium, soon(), lambda done, total: told.append((done, total)))

    assert medium.read_bytes() == image.read_bytes()
    assert medium.stat().st_blocks * 512 < 5_000_000
    assert told
    assert all(done <= total == 60_000_001 for done, total in told)


@pytest.mark.parametrize("place", ["card", "no/such/card", "dangling"])
def test_medium_that_stays_away_is_an_error_and_nothing_is_made_in_its_place(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(media, "_APPEARS_S", 0.1)
    (tmp_path / "dangling").symlink_to("sdx")

    with pytest.raises(InfrastructureError, match="not there") as caught:
        write(image, tmp_path / place)

    assert "media_attach_command" in str(caught.value.hint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "host.img"]


def test_plain_file_among_the_devices_is_refused(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_DEVICES", tmp_path)
    (tmp_path / "sdx").touch()

    with pytest.raises(ConfigurationError, match="plain file among the devices"):
        write(image, tmp_path / "sdx")
    assert (tmp_path / "sdx").stat().st_size == 0


@pytest.mark.parametrize(("medium", "kind"), [("/tmp", "a folder"), ("/dev/full", "a character")])
def test_medium_that_is_no_disk_is_refused(image: Path, medium: str, kind: str) -> None:
    with pytest.raises(ConfigurationError, match=f"is {kind}.*, not a block device"):
        write(image, Path(medium))


def test_device_that_comes_late_is_written_whole(
    image: Path, tmp_path: Path, loop: Callable[..., Path]
) -> None:
    device, link = loop(4 << 20), tmp_path / "usb-sd-mux"
    link.symlink_to(tmp_path / "not-yet")
    device.write_bytes(b"\xff" * (4 << 20))

    def show() -> None:
        (tmp_path / "new").symlink_to(device)
        (tmp_path / "new").rename(link)

    late = threading.Timer(1.0, show)
    late.start()
    write(image, link)
    late.join()

    assert (tmp_path / "disk0").read_bytes()[:3_000_000] == image.read_bytes()


def test_reader_without_a_card_is_waited_for_and_said(
    image: Path, loop: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_APPEARS_S", 0.1)

    with pytest.raises(InfrastructureError, match="its size is 0, so there is no card in it"):
        write(image, loop(0))


def test_card_smaller_than_the_image_is_refused_untouched(
    image: Path, tmp_path: Path, loop: Callable[..., Path]
) -> None:
    device = loop(2 << 20)

    with pytest.raises(InfrastructureError, match=r"has 2 MiB, the image 2\.9"):
        write(image, device)
    assert not (tmp_path / "disk0").read_bytes().strip(b"\0")


def test_locked_card_is_said(image: Path, loop: Callable[..., Path]) -> None:
    with pytest.raises(InfrastructureError, match="is read-only"):
        write(image, loop(4 << 20, "--read-only"))


def test_partition_is_no_medium(
    image: Path, tmp_path: Path, loop: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = tmp_path / "block/sdb/sdb1"
    partition.mkdir(parents=True)
    (partition / "partition").write_text("1\n")
    monkeypatch.setattr(media, "_sysfs", lambda _: partition)

    with pytest.raises(ConfigurationError, match="is a partition of /dev/sdb,"):
        write(image, loop(4 << 20))


def test_mounted_card_is_refused_with_the_folder(
    image: Path, tmp_path: Path, loop: Callable[..., Path]
) -> None:
    device, folder = loop(4 << 20), tmp_path / "mounted"
    folder.mkdir()
    subprocess.run(["/usr/sbin/mke2fs", "-q", device], check=True)
    mounted = subprocess.run(["mount", device, folder], capture_output=True, check=False)
    if mounted.returncode:
        missing("the right to mount")

    try:
        with pytest.raises(ConfigurationError, match=f"in use on the dispatcher: {folder}"):
            write(image, device)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_card_that_does_not_keep_what_is_written_is_found_out(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card").touch()
    really = os.pwrite
    room = 2 << 20

    def wraps_around(fd: int, data: memoryview, position: int) -> int:
        return really(fd, data, position % room)

    monkeypatch.setattr(os, "pwrite", wraps_around)

    with pytest.raises(InfrastructureError, match="holds something else at 0 MiB"):
        write(image, tmp_path / "card")


@pytest.mark.parametrize("failing", ["pwrite", "fsync"])
def test_card_that_fails_is_an_error(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    (tmp_path / "card").touch()

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, failing, fails)

    with pytest.raises(InfrastructureError, match="cannot write .*: Input/output error"):
        write(image, tmp_path / "card")


def test_look_at_a_medium_tells_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "card").write_bytes(b"kept")

    assert media.check(tmp_path / "card") == "a disk file"
    assert media.check(tmp_path / "none") == ""
    with pytest.raises(VMGroupError):
        media.check(tmp_path)
    assert (tmp_path / "card").read_bytes() == b"kept"
