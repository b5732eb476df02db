# SPDX-License-Identifier: MIT
"""The examples of ``docs/contributing.rst`` work as they stand there."""

import importlib
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

from lava_vmgroup import actions, boards, testdefs
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import DeadlineExpired, JobError
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.console.recorder import Recorder
from lava_vmgroup.job.model import Action
from lava_vmgroup.job.problems import problems
from lava_vmgroup.results import writers
from lava_vmgroup.results.model import JobResult
from tests.unit.results.conftest import deadline, host, job_result, smoke_run, vm

__all__ = ["deadline", "host", "job_result", "smoke_run", "vm"]

PAGE = Path(__file__).parents[2] / "docs/contributing.rst"
SCRIPTS = Path(testdefs.__file__).parent / "scripts"

Put = Callable[[ModuleType, str], ModuleType]


def example(file: str) -> str:
    """Return the code block whose caption is the name of this file."""
    page = PAGE.read_text(encoding="utf-8")
    block = re.search(
        rf"^    :caption: {re.escape(file)}\n\n((?:    .*\n|\n)+)", page, re.MULTILINE
    )
    assert block is not None, file
    return textwrap.dedent(block[1]).rstrip("\n") + "\n"


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Return a function that puts an example among the modules of a package and imports it."""
    imported: list[str] = []

    def put(package: ModuleType, name: str) -> ModuleType:
        file = f"{package.__name__.replace('.', '/')}/{name}.py"
        (tmp_path / f"{name}.py").write_text(example(file), encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        imported.append(f"{package.__name__}.{name}")
        return importlib.import_module(imported[-1])

    yield put
    for name in imported:
        sys.modules.pop(name, None)


def soon() -> Deadline:
    return Deadline.after("the test", 30.0)


def test_board_driver_is_found_and_opens_a_shell_at_each_boot(put: Put, tmp_path: Path) -> None:
    put(boards, "attach")
    config = DeviceConfig(client_type="attach", connection_command="sh -i")
    recorder = Recorder(tmp_path / "console.log")
    board = boards.load(Mock(config=config, recorder=recorder, watch=None))

    said = [board.boot(soon()).run("echo up; (exit 3)", soon()) for _ in range(2)]
    board.close()
    board.close()

    assert said == [(3, "up")] * 2
    with pytest.raises(JobError) as caught:
        board.deploy_image(tmp_path, soon())
    assert caught.value.hint


def test_job_command_is_found_and_waits_on_a_node_that_is_up(put: Put) -> None:
    command = put(actions, "pause")
    node, action = Mock(), Action(command="pause", parameters={"seconds": 0.1}, place="")

    found = actions.commands.__wrapped__()["pause"]
    found.run(action, node, soon())
    with pytest.raises(DeadlineExpired):
        found.run(action, node, Deadline.after("the test", 0.01))

    assert found is command
    assert node.ensure_booted.call_count == 2


def test_parameters_of_the_job_command_are_checked(put: Put) -> None:
    command = put(actions, "pause")
    document = {
        "timeout": 60,
        "vm_group": {
            "host": {"device_type": "board"},
            "vms": [{"device_type": "kvm-arm", "role": "guest"}],
        },
        "actions": [{"command": "pause", "parameters": {"seconds": 0, "role": "guest"}}],
    }

    (problem,) = problems(document, {"pause": command.PARAMETERS})

    assert problem.startswith("actions[0].parameters.seconds:")


def test_helper_prints_its_marker(tmp_path: Path) -> None:
    shutil.copytree(SCRIPTS, tmp_path / "bin")
    file = tmp_path / "bin/lava-test-warning"
    file.write_text(example("lava_vmgroup/testdefs/scripts/lava-test-warning"), encoding="utf-8")

    ran = subprocess.run(["sh", file, "too", "hot>"], capture_output=True, text=True, check=True)

    assert ran.stdout == "<LAVA_SIGNAL_TESTWARNING too hot_>\n"


def test_result_format_is_found_and_writes_every_test_case(
    put: Put, tmp_path: Path, job_result: JobResult
) -> None:
    put(writers, "tap")

    paths = writers.write_all(job_result, tmp_path / "results")

    assert tmp_path / "results/results.tap" in paths
    assert (tmp_path / "results/results.tap").read_text().splitlines() == [
        "TAP version 14",
        "1..5",
        "ok 1 - arndale01 smoke boots",
        "ok 2 - arndale01 smoke bandwidth",
        "not ok 3 - arndale01 smoke time",
        "ok 4 - arndale01 smoke sound # SKIP",
        "not ok 5 - arndale01 smoke odd",
    ]
