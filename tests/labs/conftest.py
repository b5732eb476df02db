# SPDX-License-Identifier: MIT
"""A LAVA server with a worker and an emulated board, for as long as the tests run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.lab import IMAGES, ROOT
from tests.support.lava_v2 import Case, recorded

SCRIPTS = ROOT / "tests/lava_lab"
EXAMPLE = ROOT / "examples/lava-v2"
URI = "http://admin:lavalabtoken@127.0.0.1:8000/RPC2"
RELEASES = ("sid", "bookworm")
"""Releases of Debian, with LAVA 2026.10 and 2023.01."""
READY_S = 180.0
JOB_S = 420.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LavaLab:
    """A running lab."""

    state: Path
    """The folder that is ``/lab`` inside."""

    def inside(self, *words: str) -> str:
        """The output of a command inside the lab."""
        command = [str(SCRIPTS / "inside.sh"), str(self.state), *words]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def lavacli(self, *words: str) -> str:
        """The output of ``lavacli``."""
        return self.inside("lavacli", "--uri", URI, *words)

    def host_says(self, command: str) -> str:
        """The answer of the shell at the board's console, where nothing else may run."""
        return self.inside("python3", "/srv/lab/say.py", command)

    @contextmanager
    def dictionary_without(self, key: str) -> Iterator[None]:
        """Let the board's dictionary lack a key."""
        text = self.lavacli("devices", "dict", "get", "board01")
        for name, lines in (("whole", text), ("part", re.sub(rf".*set {key} .*\n", "", text))):
            (self.state / f"{name}.jinja2").write_text(lines)
        self.lavacli("devices", "dict", "set", "board01", "/lab/part.jinja2")
        try:
            yield
        finally:
            self.lavacli("devices", "dict", "set", "board01", "/lab/whole.jinja2")

    def publish(self, **files: str) -> str:
        """The example as another git repository, with some of its files changed."""
        folder = self.state / f"group-{time.monotonic_ns()}"
        folder.mkdir()
        for path in EXAMPLE.iterdir():
            if path.suffix in (".conf", ".json", ".yaml"):
                shutil.copy(path, folder)
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text)
        git = ["git", "-C", str(folder), "-c", "user.name=lab", "-c", "user.email=lab@localhost"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "group"]):
            subprocess.run([*git, *words], check=True)
        return f"/lab/{folder.name}"

    def submit(self, repository: str = "/srv/group", *, job: str = "job.yaml") -> str:
        """Submit a job of the example with its tests from a repository; its number."""
        text = (EXAMPLE / job).read_text().replace("/srv/group", repository)
        (self.state / "job.yaml").write_text(text)
        return self.lavacli("jobs", "submit", "/lab/job.yaml").strip()

    def until(self, number: str, wanted: Callable[[str], bool]) -> None:
        """Wait until a job's log is as wanted."""
        self._wait(lambda: wanted(self.lavacli("jobs", "logs", "--no-follow", number)), number)

    def ends(self, number: str, health: str) -> None:
        """Wait for the end of a job, which must be in this health, as LAVA calls it."""

        def show() -> dict[str, Any]:
            shown: dict[str, Any] = yaml.safe_load(self.lavacli("jobs", "show", "--yaml", number))
            return shown

        self._wait(lambda: show()["state"] == "Finished", number)
        assert show()["health"] == health, self.lavacli("jobs", "logs", "--no-follow", number)

    def results(self, number: str) -> list[dict[str, Any]]:
        """LAVA's own results of a job."""
        found: list[dict[str, Any]] = yaml.safe_load(self.lavacli("results", "--yaml", number))
        return found

    def recorded(self, number: str) -> set[Case]:
        """The group's test cases in LAVA's own record of a job."""
        lines = yaml.safe_load(self.lavacli("jobs", "logs", "--no-follow", "--raw", number))
        return recorded(lines)

    def _wait(self, condition: Callable[[], bool], number: str) -> None:
        limit = time.monotonic() + JOB_S
        while not condition():
            assert time.monotonic() < limit, self.lavacli("jobs", "logs", "--no-follow", number)
            time.sleep(1.0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with each release of LAVA, or with the newest one if it is marked so."""
    if "lava" in metafunc.fixturenames:
        newest_only = metafunc.definition.get_closest_marker("newest_lava") is not None
        releases = RELEASES[:1] if newest_only else RELEASES
        metafunc.parametrize("lava", releases, indirect=True, scope="session")


@pytest.fixture(scope="session")
def lava(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LavaLab]:
    """The lab, which ends with everything in it."""
    cache = Path(os.environ.get("LAVA_VMGROUP_CACHE") or Path.home() / ".cache/lava-vmgroup")
    built = cache / "lava-lab" / request.param
    assert (built / "recipe").exists(), f"{built} is missing; run: make test-labs"
    product, state = tmp_path_factory.mktemp("product"), tmp_path_factory.mktemp("state")
    state.chmod(0o755)
    assert (IMAGES / "host.img").exists(), "the images are missing; run: make images"
    subprocess.run([SCRIPTS / "product.sh", str(product), sys.executable], check=True)
    words = [str(built), str(state), str(product)]
    subprocess.run([SCRIPTS / "start.sh", "image", *words], check=True, timeout=600)
    process = subprocess.Popen([SCRIPTS / "start.sh", "lab", *words])
    try:
        limit = time.monotonic() + READY_S
        while not (state / "ready").exists():
            assert time.monotonic() < limit, "the lab did not come up"
            assert process.poll() is None, "the lab has ended"
            time.sleep(0.5)
        yield LavaLab(state=state)
    finally:
        process.terminate()
        process.wait(30.0)
