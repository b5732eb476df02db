# SPDX-License-Identifier: MIT
"""An image written over SSH, by what the other end's dd does."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, InfrastructureError
from lava_vmgroup.base.shell_programs import sh_command
from lava_vmgroup.connections.ssh import dial
from lava_vmgroup.deploy import disk
from tests.support.loop_devices import loop_device
from tests.support.sshd import Server

BLOCK = disk._BLOCK
CHECK = "deploy/check_disk.sh"


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


def make_image(path: Path, *, size: int, data: tuple[int, ...]) -> Path:
    """A sparse file with something at each of these places."""
    with path.open("wb") as image:
        image.truncate(size)
        for position in data:
            image.seek(position)
            image.write(os.urandom(1000))
    return path


@pytest.fixture
def any_file_is_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test has no disk to spare; what is written to one is written to a file just so."""

    def command(name: str, *arguments: str) -> list[str]:
        if name == CHECK:
            return ["stat", "-c", "%s", *arguments]
        return sh_command(name, *arguments)

    monkeypatch.setattr(disk, "sh_command", command)


@pytest.mark.usefixtures("any_file_is_a_disk")
@pytest.mark.parametrize(
    ("size", "data"),
    [
        (5 * BLOCK, (0, BLOCK, 3 * BLOCK + 5)),
        (2 * BLOCK + 512, (BLOCK + 7,)),
        (3 * BLOCK + 1536, (3 * BLOCK,)),
        (BLOCK // 2, (100,)),
        (2 * BLOCK, ()),
    ],
)
def test_disk_becomes_the_image_whatever_it_held(
    sshd: Server, tmp_path: Path, size: int, data: tuple[int, ...]
) -> None:
    image = make_image(tmp_path / "host.img", size=size, data=data)
    old = b"old content" * (6 * BLOCK // 11)
    target = tmp_path / "disk"
    target.write_bytes(old)
    told: list[tuple[int, int]] = []

    with dial(sshd.address, sshd.key, soon()) as link:
        written = disk.write_disk(image, str(target), link, soon(), lambda *step: told.append(step))

    assert target.read_bytes() == image.read_bytes() + old[size:]
    assert written.sent + written.zeroed == size
    assert written.sent <= len(data) * BLOCK
    assert told == sorted(told)
    assert told[-1] == (size, size)


@pytest.mark.usefixtures("any_file_is_a_disk")
def test_disk_that_is_too_small_is_told(sshd: Server, tmp_path: Path) -> None:
    image = make_image(tmp_path / "host.img", size=BLOCK, data=(0,))
    target = make_image(tmp_path / "disk", size=BLOCK - 1, data=())

    with (
        dial(sshd.address, sshd.key, soon()) as link,
        pytest.raises(InfrastructureError, match="has 3 MiB, the image 4 MiB"),
    ):
        disk.write_disk(image, str(target), link, soon(), lambda *_: None)


def test_what_is_no_disk_is_not_written(sshd: Server, tmp_path: Path) -> None:
    image = make_image(tmp_path / "host.img", size=BLOCK, data=(0,))
    target = tmp_path / "file"
    target.write_text("precious")

    with (
        dial(sshd.address, sshd.key, soon()) as link,
        pytest.raises(ConfigurationError, match="file: it is no disk there"),
    ):
        disk.write_disk(image, str(target), link, soon(), lambda *_: None)
    assert target.read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "late", "said"),
    [((), False, "4194304"), ((), True, "4194304"), (("--read-only",), False, "it is read-only")],
)
def test_disk_is_waited_for_and_must_be_writable(
    tmp_path: Path, options: tuple[str, ...], late: bool, said: str
) -> None:
    name = tmp_path / "by-id"
    with loop_device(tmp_path / "disk", 4 << 20, *options) as device:
        if not late:
            name.symlink_to(device)
        look = subprocess.Popen(sh_command(CHECK, str(name)), stdout=subprocess.PIPE, text=True)
        if late:
            time.sleep(0.5)
            name.symlink_to(device)
        assert said in look.communicate(timeout=60)[0]


@pytest.mark.usefixtures("any_file_is_a_disk")
def test_damage_on_the_way_is_no_success(
    sshd: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(tmp_path / "host.img", size=BLOCK, data=(0,))
    target = make_image(tmp_path / "disk", size=BLOCK, data=())
    monkeypatch.setattr(disk, "_compressed", lambda data: iter([b"no archive"]))

    with (
        dial(sshd.address, sshd.key, soon()) as link,
        pytest.raises(InfrastructureError, match="could not unpack what is for its disk"),
    ):
        disk.write_disk(image, str(target), link, soon(), lambda *_: None)
