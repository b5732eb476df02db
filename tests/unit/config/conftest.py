# SPDX-License-Identifier: MIT
"""A lab's configuration folder that a test fills."""

from __future__ import annotations

from pathlib import Path

import pytest

from lava_vmgroup.config import files


class Lab:
    """A folder for --config-dir over the shipped configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def search_path(self) -> tuple[Path, ...]:
        return files.search_path(self.folder)

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "lab"
    folder.mkdir()
    return Lab(folder)
