# SPDX-License-Identifier: MIT
"""Attachments become files whose names a test cannot choose freely."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_vmgroup.results.attachments import placed_runs
from lava_vmgroup.results.model import Attachment, JobResult, NodeResult, TestRun
from lava_vmgroup.results.writers import attachments, results_json


def attached(name: str, content: bytes = b"x") -> Attachment:
    return Attachment(pathname=name, mime_type="text/plain", content=content)


def paths(node: NodeResult, *runs: TestRun) -> list[str]:
    placed = placed_runs(replace(node, runs=runs))
    return [one.path for run in placed for one in run.all()]


def test_files_have_the_content_and_are_where_results_json_says(
    job_result: JobResult, host: NodeResult, rich_run: TestRun, tmp_path: Path
) -> None:
    result = replace(job_result, nodes=(replace(host, runs=(rich_run,)),))

    written = attachments.write(result, tmp_path)

    (run,) = json.loads(results_json.render(result))["nodes"][0]["runs"]
    assert (tmp_path / run["attachments"][0]["path"]).read_bytes() == b"Hello world"
    assert (tmp_path / run["cases"][0]["attachments"][0]["path"]).read_bytes() == b"\0\xff"
    assert len(written) == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../../etc/passwd", "_.._.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("..", "_"),
        ("", "_"),
        ("a b\n\x1b[2J", "a_b_2J"),
        ("-rf", "rf"),
        ("x" * 5000 + ".log", "x" * 96 + ".log"),
    ],
)
def test_name_stays_in_its_folder(
    host: NodeResult, rich_run: TestRun, name: str, expected: str
) -> None:
    run = replace(rich_run, attachments=(attached(name),), cases=())

    assert paths(host, run) == [f"arndale01/attachments/rich/{expected}"]


def test_equal_names_are_different_files(host: NodeResult, rich_run: TestRun) -> None:
    twice = replace(rich_run, attachments=(attached("log"), attached("LOG")), cases=())

    assert paths(host, twice, twice) == [
        "arndale01/attachments/rich/log",
        "arndale01/attachments/rich/2-LOG",
        "arndale01/attachments/2-rich/log",
        "arndale01/attachments/2-rich/2-LOG",
    ]


@given(names=st.lists(st.text(), max_size=6), run_name=st.text())
def test_any_names_are_different_files_below_the_folder(
    host: NodeResult, rich_run: TestRun, names: list[str], run_name: str
) -> None:
    run = replace(
        rich_run, name=run_name, attachments=tuple(attached(name) for name in names), cases=()
    )

    found = paths(host, run)

    assert len({path.casefold() for path in found}) == len(names)
    for path in found:
        node, folder, below, file = path.split("/")
        assert (node, folder) == ("arndale01", "attachments")
        assert not {"", ".", ".."} & {below, file}
        assert path.isascii()
        assert path.isprintable()
