# SPDX-License-Identifier: MIT
"""Test definitions are looked for in files only, and there are not too many of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.testdefs import loading
from lava_vmgroup.testdefs.loading import DefinitionLoader
from lava_vmgroup.testdefs.source import Source, SourceKind

HEAD = "metadata: {name: t, format: x, description: d}\nrun: {steps: ['true']}\n"


def load(folder: Path, location: str) -> int:
    loader = DefinitionLoader(folder=folder, work=folder, deadline=Deadline.after("the test", 60.0))
    return len(loader.load(Source(kind=SourceKind.URL, location=location)))


def test_a_pipe_or_a_device_is_no_definition(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for location in ("pipe", "/dev/zero"):
        with pytest.raises(JobError, match="it is a pipe or a device"):
            load(tmp_path, location)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_definition_may_come_from_an_editor_of_windows(tmp_path: Path, encoding: str) -> None:
    text = HEAD.replace("['true']", "[\"echo 'ä'\", echo b]").replace("\n", "\r\n")
    (tmp_path / "t.yaml").write_bytes(f"{text}params:\r\n  A: |\r\n    x\r\n".encode(encoding))
    loader = DefinitionLoader(
        folder=tmp_path, work=tmp_path, deadline=Deadline.after("the test", 60.0)
    )

    (test,) = loader.load(Source(kind=SourceKind.URL, location="t.yaml"))

    assert test.definition.run_steps == ("echo 'ä'", "echo b")
    assert test.definition.params == {"A": "x\n"}


def test_a_definition_that_is_no_text_is_refused_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_bytes(HEAD.encode() + b"# \xe4\n")

    with pytest.raises(JobError, match=r"t.yaml is not UTF-8 text \(byte \d+\): line 3 has 0xe4"):
        load(tmp_path, "t.yaml")


def test_a_name_that_was_made_to_fit_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(HEAD.replace("name: t", "name: Media test"))
    told: list[str] = []
    deadline = Deadline.after("the test", 60.0)
    loader = DefinitionLoader(folder=tmp_path, work=tmp_path, deadline=deadline, warn=told.append)

    (test,) = loader.load(Source(kind=SourceKind.URL, location="t.yaml"))

    assert test.definition.name == "Media_test"
    assert told == [
        "t.yaml: the test is called Media_test: characters of its metadata.name are not allowed"
    ]


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
