# SPDX-License-Identifier: MIT
"""Test definitions are looked for in files only, and there are not too many of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import JobError
from lava_vmgroup.testshell import loading
from lava_vmgroup.testshell.loading import Loader
from lava_vmgroup.testshell.source import Source, SourceKind

HEAD = "metadata: {name: t, format: x, description: d}\nrun: {steps: ['true']}\n"


def load(folder: Path, location: str) -> int:
    loader = Loader(folder=folder, work=folder, deadline=Deadline.after("the test", 60.0))
    return len(loader.load(Source(kind=SourceKind.URL, location=location)))


def test_a_pipe_or_a_device_is_no_definition(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for location in ("pipe", "/dev/zero"):
        with pytest.raises(JobError, match="it is a pipe or a device"):
            load(tmp_path, location)


def test_a_definition_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "t.yaml").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(JobError, match="t.yaml has more than 1024 KiB"):
        load(tmp_path, "t.yaml")


def test_tests_that_want_others_twice_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_TESTS", 50)
    for number in range(30):
        wanted = [f"{{url: '{number + 1}.yaml'}}"] * 2
        (tmp_path / f"{number}.yaml").write_text(f"{HEAD}test-case-deps: [{', '.join(wanted)}]\n")
    (tmp_path / "30.yaml").write_text(HEAD)

    assert load(tmp_path, "26.yaml") == 31
    with pytest.raises(JobError, match="more than 50 tests in one action"):
        load(tmp_path, "0.yaml")
