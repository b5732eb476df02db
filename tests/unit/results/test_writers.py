# SPDX-License-Identifier: MIT
"""Formats are found by their files, and files are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.results import writers
from lava_vmgroup.results.model import JobResult
from lava_vmgroup.results.writers import junit

FILES = {"bundle.json", "junit.xml", "results.json"}


def test_every_module_with_write_is_a_format() -> None:
    modules = {path.stem for path in Path(writers.__file__).parent.glob("[!_]*.py")}

    assert {name for name, _ in writers.formats()} == modules


def test_module_that_is_put_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shouting.py").write_text("def write(result, folder):\n    return folder\n")
    (tmp_path / "silent.py").write_text("")
    monkeypatch.setattr(writers, "__path__", [*writers.__path__, str(tmp_path)])

    names = [name for name, _ in writers.formats()]

    assert "shouting" in names
    assert "silent" not in names


def test_write_all_writes_every_format(job_result: JobResult, tmp_path: Path) -> None:
    paths = writers.write_all(job_result, tmp_path / "new")

    written = {path for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert set(paths) == written
    assert {path.name for path in paths} == FILES
    assert set(writers.group_files()) == FILES


def test_format_that_cannot_be_written_does_not_cost_the_others(
    job_result: JobResult, tmp_path: Path
) -> None:
    (tmp_path / "bundle.json").mkdir()

    with pytest.raises(InfrastructureError, match=r"bundle\.json"):
        writers.write_all(job_result, tmp_path)

    assert {path.name for path in tmp_path.iterdir() if path.suffix} == FILES


def test_format_that_is_broken_does_not_cost_the_others(
    job_result: JobResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(result: JobResult, folder: Path) -> list[Path]:
        raise KeyError("nobody thought of this")

    def formats() -> Iterator[tuple[str, writers.Writer]]:
        yield "broken", broken
        yield "junit", junit.write

    monkeypatch.setattr(writers, "formats", formats)

    with pytest.raises(KeyError):
        writers.write_all(job_result, tmp_path)

    assert (tmp_path / "junit.xml").exists()


def test_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result"
    path.write_text("old")

    def full(self: Path, content: bytes) -> int:
        self.write_text("ne")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(InfrastructureError, match="No space left on device"):
        writers.replace_file(path, "new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
