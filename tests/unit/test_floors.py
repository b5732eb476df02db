# SPDX-License-Identifier: MIT
"""Imports point downwards only, as ``docs/design.rst`` says."""

import ast
import csv
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lava_vmgroup

ROOT = Path(lava_vmgroup.__file__).parent

TABLE = Path(__file__).parents[2] / "docs/floors.csv"

DOORS = {
    "pexpect": {"console.console"},
    "paramiko": {
        f"connections.ssh{part}"
        for part in ("", "_access", "_channels", "_commands", "_connections", "_files", "_keys")
    },
    "jsonschema": {"base.shape"},
    "requests": {"deploy.http", "deploy.http_connections"},
    "regex": {"base.user_pattern"},
    "yaml": {"base.safe_yaml", "testdefs.definition"},
}
"""The only modules that may import each of these libraries."""

FINDERS = {"actions", "boards", "results.writers", "vms.backends"}
"""The only modules that may import others by a name that is computed: files of their own room."""


def imports() -> Iterator[tuple[str, str]]:
    """Pairs of a module and what it imports, without the package's own name."""
    for path in ROOT.rglob("*.py"):
        module = name_of(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                base = absolute(module, path.name == "__init__.py", node)
                names = [f"{base}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            yield from ((module, name) for name in names)


def absolute(module: str, is_package: bool, node: ast.ImportFrom) -> str:
    """The full name of the module that names are imported from."""
    if not node.level:
        return node.module or ""
    parts = f"lava_vmgroup.{module}".split(".")
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, *filter(None, [node.module])])


def name_of(path: Path) -> str:
    """The name of a module, without the package's own."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def neighbors() -> dict[str, set[str]]:
    """The modules that each module imports, be they of its own package or of another."""
    found: dict[str, set[str]] = {name_of(path): set() for path in ROOT.rglob("*.py")}
    for module, name in imports():
        target = name.removeprefix("lava_vmgroup.")
        if target != name:
            known = target if target in found else target.rpartition(".")[0]
            found[module] |= {known} & found.keys() - {module}
    return found


def floors() -> dict[str, int]:
    """The floor of each room, which is a folder of the package."""
    with TABLE.open(encoding="utf-8", newline="") as table:
        return {row["Room"]: int(row["Floor"]) for row in csv.DictReader(table)}


def room(module: str) -> str:
    """The folder of a module."""
    folder = module if (ROOT / module.replace(".", "/")).is_dir() else module.rpartition(".")[0]
    return folder.replace(".", "/") or ROOT.name


def test_every_folder_is_a_room() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")}

    assert floors().keys() == folders - {"."} | {ROOT.name}


def test_imports_point_downwards() -> None:
    floor, graph = floors(), neighbors()
    pairs = [
        (room(module), room(target), f"{module} imports {target}")
        for module, targets in graph.items()
        for target in targets
    ]

    assert len(pairs) > 500
    assert not [
        words for here, there, words in pairs if here != there and floor[here] <= floor[there]
    ]


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = neighbors()

    assert sum(len(targets) for targets in graph.values()) > 500
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_each_library_has_one_door() -> None:
    doors: dict[str, set[str]] = {library: set() for library in DOORS}
    for module, name in imports():
        library = name.split(".")[0]
        if library in doors:
            doors[library].add(module)

    for library, modules in doors.items():
        assert modules, library
        assert modules <= DOORS[library], library


def test_only_a_room_imports_its_own_files_by_computed_names() -> None:
    computing = re.compile(r"import_module|__import__|resolve_name|sys\.modules")

    assert {
        name_of(path) for path in ROOT.rglob("*.py") if computing.search(path.read_text("utf-8"))
    } == FINDERS


def test_functions_fit_on_a_screen() -> None:
    long = {
        f"{name_of(path)}.{node.name}": count
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (count := (node.end_lineno or 0) - node.lineno + 1) > 60
    }

    assert not long


def test_programs_of_the_shell_are_files() -> None:
    """A line of shell may stand in a string, and so may words that only describe a shell."""
    ends = re.compile(r"^\s*(?:fi|done|esac|\}|\}\})\s*$", re.MULTILINE)
    texts = {
        f"{name_of(path)}, line {node.lineno}"
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and ends.search(node.value)
        and "$" in node.value
    }

    assert not texts


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in ROOT.rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }

    assert not long
