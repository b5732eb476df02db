# SPDX-License-Identifier: MIT
"""Broken jobs are refused before anything runs, and leave nothing behind."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lava_vmgroup.cli.dispatch import main

BROKEN = Path(__file__).parents[1] / "broken"
EXPECTED = yaml.safe_load((BROKEN / "expected.yaml").read_text(encoding="utf-8"))
CASES = [(kind, name) for kind in ("jobs", "testdefs") for name in EXPECTED[kind]]

_ACTIVE = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
_watched: list[list[str]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and (event in _ACTIVE or event.startswith("socket.")):
        _watched[-1].append(f"{event}{arguments}")


sys.addaudithook(_watch)


@contextmanager
def deeds() -> Iterator[list[str]]:
    """The programs and addresses that Python started and connected to within the context."""
    done: list[str] = []
    _watched.append(done)
    try:
        yield done
    finally:
        _watched.pop()


def job_with(testdef: Path) -> dict[str, Any]:
    """A job that is right but for its test definition."""
    image = str(BROKEN / "files/disk.img")
    return {
        "timeout": 600,
        "vm_group": {
            "host": {"device_type": "arndale"},
            "vms": [{"device_type": "kvm-arm", "role": "client", "image": image}],
        },
        "actions": [
            {"command": "deploy_linaro_image", "parameters": {"image": image, "role": "host"}},
            {"command": "lava_test_shell", "parameters": {"testdef_urls": [str(testdef)]}},
        ],
    }


def test_every_broken_file_has_its_message() -> None:
    files = {(kind, path.name) for kind in EXPECTED for path in (BROKEN / kind).iterdir()}

    assert files == set(CASES)
    assert all(EXPECTED[kind][name] for kind, name in CASES)


def test_what_the_broken_files_are_made_of_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job_with(BROKEN / "files/smoke.yaml")))

    assert main(["--validate", str(path)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}-{name}" for kind, name in CASES])
@pytest.mark.parametrize("option", ["--validate", "--output-dir=out"])
def test_broken_file_is_refused_and_nothing_is_done(
    kind: str,
    name: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = BROKEN / kind / name
    if kind == "testdefs":
        job = tmp_path / "job.json"
        job.write_text(json.dumps(job_with(path)))
        path = job
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setattr(tempfile, "tempdir", str(empty))

    with deeds() as done:
        status = main([option, str(path)])

    said = capsys.readouterr()
    for message in EXPECTED[kind][name]:
        assert message in said.err
    assert (status, said.out, done) == (2, "", [])
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err
    assert list(empty.iterdir()) == []
