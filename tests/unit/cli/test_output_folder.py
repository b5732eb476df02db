# SPDX-License-Identifier: MIT
"""One job at a time has an output directory, and takes an earlier job's results out of it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lava_vmgroup.base.errors import ConfigurationError, DeviceInUse, JobError
from lava_vmgroup.cli.dispatch import main
from lava_vmgroup.cli.output_folder import locked
from lava_vmgroup.cli.output_txt import add_refusal

RESULTS = ("results.json", "junit.xml", "bundle.json", "result-bundle")
OTHERS = ("notes.txt", "events.jsonl", "output.txt", "host/console.log")
HOLDS = """\
import sys
from pathlib import Path
from lava_vmgroup.cli.output_folder import locked

with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The directory of an earlier job, with a file of the user."""
    folder = tmp_path / "out"
    (folder / "host").mkdir(parents=True)
    for name in (*RESULTS, *OTHERS):
        (folder / name).write_text("earlier")
    return folder


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def refused_job(folder: Path) -> str:
    (path := folder / "job.json").write_text("{}")
    return str(path)


def test_directory_of_another_job_is_refused_and_named(output: Path) -> None:
    with holder(output), pytest.raises(DeviceInUse) as refused, locked(output):
        pytest.fail("it was used")

    assert refused.value.exit_status == 4
    assert refused.value.message == f"another job writes its results to {output}"
    assert "--output-dir" in str(refused.value.hint)


def test_killed_job_frees_its_directory(output: Path) -> None:
    with holder(output) as process:
        process.kill()
        process.wait()

        with locked(output):
            pass


def test_directory_that_cannot_be_made_is_an_error_of_the_configuration(output: Path) -> None:
    below = output / "notes.txt/results"
    with pytest.raises(ConfigurationError, match="cannot write to"), locked(below):
        pytest.fail("it was used")


def test_refused_job_leaves_no_results_of_an_earlier_one(output: Path, tmp_path: Path) -> None:
    status = main(["--output-dir", str(output), refused_job(tmp_path)])

    assert status == 2
    assert files(output) == set(OTHERS)


def test_refused_job_makes_no_directory(tmp_path: Path) -> None:
    assert main(["--output-dir", str(tmp_path / "new"), refused_job(tmp_path)]) == 2

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("check", ["--validate", "--dry-run", "--expand-to=jobs"])
def test_check_of_a_job_touches_no_results(check: str, output: Path, tmp_path: Path) -> None:
    assert main([check, "--output-dir", str(output), refused_job(tmp_path)]) == 2

    assert files(output) == {*RESULTS, *OTHERS}


def test_refused_job_leaves_the_files_of_a_job_that_runs(output: Path, tmp_path: Path) -> None:
    with holder(output):
        assert main(["--output-dir", str(output), refused_job(tmp_path)]) == 2
        add_refusal(output, JobError("refused"))

    assert files(output) == {*RESULTS, *OTHERS}
    assert (output / "output.txt").read_text() == "earlier"
