# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.media import write_image
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
