# SPDX-License-Identifier: MIT
"""Every name that a user can write has its place in the documentation."""

import argparse
import ast
import dataclasses
import json
import re
import runpy
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from lava_vmgroup import actions, boards, testdefs
from lava_vmgroup.cli import arguments, coordinator
from lava_vmgroup.cli.dispatch import main
from lava_vmgroup.config.coordinator import CoordinatorConfig
from lava_vmgroup.job.problems import problems
from lava_vmgroup.job.schema import VM_TYPES
from tests.integration.faults.matrix import as_rst
from tests.integration.test_git_repository import make_repository
from tests.unit.results.test_writers import FILES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = [path.parent.name for path in sorted((ROOT / "examples").glob("*/job.json"))]


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def words(page: str) -> set[str]:
    """The names in a text, whole: ``lava-wait-all`` is no ``lava-wait``."""
    return set(re.findall(r"[\w-]+", page))


@pytest.mark.parametrize("command", actions.commands())
def test_every_command_and_its_parameters_are_documented(command: str) -> None:
    page = text("actions.rst")

    assert re.search(rf"^{command}\n-+$|``{command}``", page, re.MULTILINE)
    for parameter in actions.commands()[command].PARAMETERS["properties"]:
        assert f"``{parameter}``" in page, parameter


def test_written_files_are_what_the_schemas_and_the_device_keys_make() -> None:
    written = runpy.run_path(str(DOCS / "reference.py"))["written"]()

    assert {path.name for path in written} >= {"device-defaults.conf", "device-keys.rst"}
    found = {path: path.read_text(encoding="utf-8") for path in written}
    assert found == written, "run: python docs/reference.py"


def test_every_driver_and_vm_type_is_documented() -> None:
    drivers = [path.stem for path in Path(boards.__file__).parent.glob("[!_]*.py")]

    assert drivers
    for driver in drivers:
        assert re.search(rf"^{driver}\n~+$", text("devices.rst"), re.MULTILINE), driver
    for name in VM_TYPES:
        assert f"``{name}``" in text("vms.rst"), name


def test_every_helper_is_documented() -> None:
    scripts = Path(testdefs.__file__).parent / "scripts"
    helpers = {path.name for path in scripts.iterdir() if path.suffix != ".sh"}
    inner = {
        "lava-test-runner",
        "lava-test-shell",
        "lava-pack-results",
        "lava-record",
        "lava-settle",
    }

    assert inner < helpers
    assert helpers - inner - words(text("testshell.rst")) == set()


def test_every_file_of_results_is_documented() -> None:
    page = text("results.rst")

    assert [name for name in sorted(FILES) if f"\n``{name}``\n" not in page] == []


def test_job_in_the_readme_is_valid() -> None:
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    block = re.search(r"^\.\. code-block:: json\n\n((?:    .*\n)+)", readme, re.MULTILINE)

    assert block is not None
    assert problems(json.loads(block[1]), actions.parameter_schemas()) == []


@pytest.mark.parametrize(
    ("parser", "pages"),
    [
        (arguments.parser(), sorted(DOCS.glob("*.rst"))),
        (arguments.doctors_parser(), [DOCS / "doctor.rst"]),
        (coordinator.parser(), [DOCS / "coordinator.rst"]),
    ],
    ids=["lava-dispatch", "doctor", "coordinator"],
)
def test_every_option_of_a_command_line_is_documented(
    parser: argparse.ArgumentParser, pages: list[Path]
) -> None:
    options = words(parser.format_help())
    documented = words("".join(path.read_text(encoding="utf-8") for path in pages))

    undocumented = {name for name in options - documented if name.startswith("--")}
    assert undocumented <= {"--help", "--version"}


def test_every_key_of_the_coordinator_is_documented() -> None:
    keys = [field.name for field in dataclasses.fields(CoordinatorConfig)]

    assert [key for key in keys if f"\n``{key}``" not in text("coordinator.rst")] == []


def names_in(module: Path) -> Iterator[str]:
    """The tests of a module: ``test_x``, and ``TestY::test_x`` of a class."""
    for item in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(item, ast.FunctionDef):
            yield item.name
        elif isinstance(item, ast.ClassDef):
            methods = [part for part in item.body if isinstance(part, ast.FunctionDef)]
            yield from (f"{item.name}::{method.name}" for method in methods)


@pytest.mark.parametrize("page", [path.name for path in sorted(DOCS.glob("*.rst"))])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"(tests/[\w/.-]+\.py)(?:::((?:\w+::)?\w+))?", text(page))
    missing = [
        f"{module}::{name}"
        for module, name in dict.fromkeys(named)
        if not (ROOT / module).exists() or (name and name not in names_in(ROOT / module))
    ]

    assert missing == []


def test_matrix_of_faults_is_the_one_that_is_tried() -> None:
    assert as_rst() in text("reliability.rst"), as_rst()


def test_every_weakness_of_lava_v1_is_answered_with_what_shows_it() -> None:
    section = (
        text("lava-v1.rst").partition("\nWeaknesses")[2].partition("\n.. _end-of-weaknesses:")[0]
    )
    answers = re.split(r"^(\d+)\. ", section, flags=re.MULTILINE)[1:]

    assert answers[0::2] == [str(number) for number in range(1, 37)]
    for number, answer in zip(answers[0::2], answers[1::2], strict=True):
        modules = re.findall(r"lava_vmgroup/[\w/-]+\.py", answer)
        by_construction = re.search(r"by\s+construction", answer, re.IGNORECASE)
        assert "tests/" in answer or (by_construction and modules), number
        assert all((ROOT / module).exists() for module in modules), number


def test_every_example_is_documented_and_run() -> None:
    modules = [
        path.read_text(encoding="utf-8")
        for folder in ("e2e", "integration")
        for path in (ROOT / "tests" / folder).glob("test_*.py")
    ]

    assert EXAMPLES
    for name in EXAMPLES:
        assert re.search(rf"^{name}\n~+$", text("examples.rst"), re.MULTILINE), name
        assert any(re.search(rf'["/]{name}["/]', module) for module in modules), name


def validate(job: Path) -> int:
    """Check a job for the emulated board; its images need not be built, files in their place do."""
    for image in re.findall(r'"(\.\./[^"]*emulated-board/images/[^"]+)"', job.read_text()):
        (job.parent / image).parent.mkdir(parents=True, exist_ok=True)
        (job.parent / image).write_bytes(bytes(512))
    config = ROOT / "examples/emulated-board/config"
    return main(["--validate", "--config-dir", str(config), str(job)])


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_valid(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "examples" / name, tmp_path / name)
    if name == "git-repository":  # its README has the reader make the repository
        shutil.rmtree(tmp_path / name / "tests")
        make_repository(tmp_path / name / "tests")

    status = validate(tmp_path / name / "job.json")

    assert (status, capsys.readouterr().err) == (0, "")


def test_job_of_the_quick_start_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my-job"
    folder.mkdir()
    written = re.findall(
        r"^    cat >(\S+) <<'END'\n(.*?)^    END$", text("quickstart.rst"), re.M | re.S
    )
    for name, content in written:
        (folder / name).write_text(textwrap.dedent(content))

    status = validate(folder / "job.json")

    assert (status, capsys.readouterr().err) == (0, "")
    assert [name for name, _ in written] == ["job.json", "ping.yaml"]
