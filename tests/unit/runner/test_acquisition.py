# SPDX-License-Identifier: MIT
"""A device that a broker shares out is acquired before a job and released after it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import Canceled, InfrastructureError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.runner.acquisition import acquired


def device(folder: Path, acquire: str = "true") -> DeviceConfig:
    """A device whose commands append their names to a file."""
    return DeviceConfig(
        hostname="board01",
        acquire_command=f"{acquire} && echo acquire >>{folder}/told",
        release_command=f"echo release >>{folder}/told",
    )


def told(folder: Path) -> list[str]:
    path = folder / "told"
    return path.read_text().split() if path.exists() else []


def test_device_is_held_within_the_block_only(tmp_path: Path) -> None:
    with acquired(device(tmp_path), time.sleep, folder=tmp_path):
        assert told(tmp_path) == ["acquire"]

    assert told(tmp_path) == ["acquire", "release"]


def test_device_is_released_after_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="oh"),
        acquired(device(tmp_path), time.sleep, folder=tmp_path),
    ):
        raise ValueError("oh")

    assert told(tmp_path) == ["acquire", "release"]


def test_device_of_a_killed_job_is_released_first(tmp_path: Path) -> None:
    with acquired(device(tmp_path), time.sleep, folder=tmp_path, was_left=True):
        assert told(tmp_path) == ["release", "acquire"]


def test_device_that_somebody_else_has_is_not_released(tmp_path: Path) -> None:
    taken = device(tmp_path, "{ echo taken by a human; false; }")

    with (
        pytest.raises(InfrastructureError, match="board01 cannot be acquired: taken by a human"),
        acquired(taken, time.sleep, folder=tmp_path),
    ):
        pytest.fail("it is not ours")

    assert told(tmp_path) == []


def test_wait_for_a_device_can_be_canceled(tmp_path: Path) -> None:
    def pause(_seconds: float) -> None:
        raise Canceled("canceled by SIGINT", signal_number=2)

    with pytest.raises(Canceled), acquired(device(tmp_path, "sleep 600"), pause, folder=tmp_path):
        pytest.fail("it is not ours")

    assert told(tmp_path) == []


def test_failing_release_is_no_failure_of_the_job(tmp_path: Path) -> None:
    held = DeviceConfig(hostname="b", acquire_command="true", release_command="false")

    with acquired(held, time.sleep, folder=tmp_path):
        (tmp_path / "used").touch()

    assert (tmp_path / "used").exists()
