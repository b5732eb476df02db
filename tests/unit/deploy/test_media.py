# SPDX-License-Identifier: MIT
import re
from pathlib import Path

import pytest

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import fetch, reference_problems
from lava_vmgroup.deploy.media import write_image
from lava_vmgroup.deploy.tftp import KernelFiles, offered
from lava_vmgroup.errors import ConfigurationError


def soon() -> Deadline:
    return Deadline.after("the test", 60.0)


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


def test_missing_medium_is_a_configuration_error(tmp_path: Path) -> None:
    image = tmp_path / "host.img"
    image.write_bytes(b"boot")

    with pytest.raises(ConfigurationError, match="boot medium .* is not there"):
        write_image(image, tmp_path / "no/such/card", soon(), lambda done, total: None)


def test_kernel_files_are_offered_for_a_while(tmp_path: Path) -> None:
    kernel, dtb = tmp_path / "Image-6.1", tmp_path / "board.dtb"
    kernel.write_bytes(b"kernel")
    dtb.write_bytes(b"dtb")
    root = tmp_path / "tftp"

    with offered(KernelFiles(kernel=kernel, dtb=dtb), root, "job-1") as tags:
        assert tags == {"KERNEL": "job-1/kernel", "DTB": "job-1/dtb"}
        assert (root / tags["KERNEL"]).read_bytes() == b"kernel"
    assert list(root.iterdir()) == []


def test_paths_and_file_urls_are_found_from_the_job_file(tmp_path: Path) -> None:
    image = tmp_path / "my image.img"
    image.write_bytes(b"image")

    assert fetch("my image.img", tmp_path, tmp_path, soon()) == image
    assert fetch(str(image), Path("/elsewhere"), tmp_path, soon()) == image
    assert fetch(f"file://{tmp_path}/my%20image.img", Path("/"), tmp_path, soon()) == image


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("none.img", "cannot read .*none.img: No such file"),
        (".", "Is a directory"),
        ("ftp://server/x.img", "cannot fetch 'ftp://server/x.img'"),
        ("empty.img", "is empty"),
        ("packed.img", "is gzip: give the raw file"),
    ],
)
def test_unusable_image_is_told_beforehand(reference: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "empty.img").touch()
    (tmp_path / "packed.img").write_bytes(b"\x1f\x8b\x08\x00rest")

    (problem,) = reference_problems(reference, tmp_path, disk=True)

    assert re.search(expected, problem)
