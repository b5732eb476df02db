# SPDX-License-Identifier: MIT
"""labgrid's stand-in with two places, ``board01`` and ``board02``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.runner import labgrid as labgrid_module
from lava_vmgroup.runner.acquisition import acquired
from tests.support import labgrid_client


class Labgrid:
    """labgrid's stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state.json"
        free = {"acquired": None}
        places = {
            "board01": {**free, "tags": ["board=a", "memory=4g"]},
            "board02": {**free, "tags": ["board=b"]},
        }
        self.write(places, [])

    def write(self, places: Any, reservations: Any) -> None:
        self.state.write_text(json.dumps({"places": places, "reservations": reservations}))

    def device(self, **keys: Any) -> DeviceConfig:
        """A device of labgrid's."""
        client = (sys.executable, labgrid_client.__file__, str(self.state))
        return DeviceConfig(hostname="rack", labgrid_client=client, **keys)

    def holding(self, device: DeviceConfig, **more: Any) -> AbstractContextManager[DeviceConfig]:
        """Hold a device as a job does."""
        return acquired(device, more.pop("pause", time.sleep), folder=self.folder / "locks", **more)

    def human(self, *words: str) -> None:
        """A command of somebody else."""
        environment = {**os.environ, "LG_USERNAME": "human", "LG_HOSTNAME": "desk"}
        command = [sys.executable, labgrid_client.__file__, str(self.state), "-p", "board01"]
        subprocess.run([*command, *words], env=environment, check=True, timeout=60)

    @property
    def holders(self) -> list[str | None]:
        """The holders of the two places."""
        return [one["acquired"] for one in labgrid_client.read(self.state)["places"].values()]

    @property
    def reservations(self) -> list[Any]:
        """The reservations there are."""
        found: list[Any] = labgrid_client.read(self.state)["reservations"]
        return found

    @property
    def notes(self) -> list[Path]:
        """The files about what jobs hold."""
        return list((self.folder / "locks").glob("labgrid-*"))


@pytest.fixture
def labgrid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Labgrid:
    """A stand-in that answers sooner than labgrid."""
    for name, seconds in {
        "_TAKER_S": 0.5,
        "_BEGUN_S": 1.0,
        "_AGAIN_S": 1.5,
        "_PAUSE_S": 0.2,
    }.items():
        monkeypatch.setattr(labgrid_module, name, seconds)
    return Labgrid(tmp_path)
