# SPDX-License-Identifier: MIT
"""Every name that a user can write has its place in the documentation."""

import json
import re
import runpy
from pathlib import Path

import pytest

from lava_vmgroup import actions, boards, testshell
from lava_vmgroup.cli import _parser
from lava_vmgroup.job.problems import problems
from lava_vmgroup.job.schema import VM_TYPES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", actions.commands())
def test_every_command_and_its_parameters_are_documented(command: str) -> None:
    page = text("actions.rst")

    assert re.search(rf"^{command}$|``{command}``", page, re.MULTILINE)
    for parameter in actions.commands()[command].PARAMETERS["properties"]:
        assert f"``{parameter}``" in page, parameter


def test_reference_of_the_job_is_what_the_schema_says() -> None:
    module = runpy.run_path(str(DOCS / "reference.py"))

    assert text("job-keys.rst") == module["render"](), "run: python docs/reference.py"


def test_every_driver_and_vm_type_is_documented() -> None:
    drivers = [path.stem for path in Path(boards.__file__).parent.glob("[!_]*.py")]

    assert drivers
    for driver in drivers:
        assert f"\n{driver}\n~~~" in text("devices.rst"), driver
    for name in VM_TYPES:
        assert f"``{name}``" in text("vms.rst"), name


def test_every_helper_is_documented() -> None:
    scripts = Path(testshell.__file__).parent / "scripts"
    helpers = [path.name for path in scripts.iterdir() if path.suffix != ".sh"]
    inner = {"lava-test-runner", "lava-test-shell", "lava-pack-results"}

    assert [
        name for name in helpers if name not in text("testshell.rst") and name not in inner
    ] == []


def test_job_in_the_readme_is_valid() -> None:
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    block = re.search(r"^\.\. code-block:: json\n\n((?:    .*\n)+)", readme, re.MULTILINE)

    assert block is not None
    assert problems(json.loads(block[1]), actions.parameter_schemas()) == []


def test_every_option_of_the_command_line_is_documented() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.rst"))
    pages += (ROOT / "README.rst").read_text(encoding="utf-8")
    options = re.findall(r"--[a-z][a-z-]+", _parser().format_help())

    undocumented = {option for option in options if option not in pages}
    assert undocumented <= {"--help", "--version"}
