# SPDX-License-Identifier: MIT
"""Imports point downwards only, as ``docs/design.rst`` says."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lava_vmgroup

ROOT = Path(lava_vmgroup.__file__).parent

FLOORS = {
    "bounded_file": 0,
    "errors": 0,
    "file_lock": 0,
    "findings": 0,
    "cancel": 0,
    "clock": 0,
    "deadline": 0,
    "log": 0,
    "masking": 0,
    "once": 0,
    "output": 0,
    "progress": 0,
    "safe_yaml": 0,
    "scratch": 0,
    "sparse": 0,
    "tars": 0,
    "text": 0,
    "undecodable": 0,
    "vanished_peer": 0,
    "testshell.pattern": 0,
    "console.faults": 0,
    "job": 1,
    "config": 1,
    "multinode": 1,
    "results": 1,
    "testshell": 2,
    "connections": 3,
    "console": 4,
    "deploy": 4,
    "display": 4,
    "output_txt": 4,
    "results.writers": 4,
    "results.summary": 4,
    "results.fold": 4,
    "results.submit": 4,
    "multinode.exchange": 3,
    "multinode.presence": 3,
    "multinode.client": 4,
    "multinode.server": 4,
    "multinode.status": 4,
    "multinode.coordinator": 4,
    "boards": 5,
    "vms": 5,
    "testshell.calls": 5,
    "testshell.feed": 5,
    "testshell.runs": 5,
    "testshell.session": 5,
    "testshell.transfer": 5,
    "testshell.loading": 5,
    "testshell.repositories": 5,
    "multinode.api": 5,
    "nodes": 6,
    "actions": 7,
    "admission": 8,
    "device_lock": 8,
    "doctor": 8,
    "runner": 8,
    "signals": 8,
    "coordinator_cli": 9,
    "doctor_cli": 9,
    "cli": 10,
    "__main__": 11,
}

DOORS = {
    "pexpect": {"console.console"},
    "paramiko": {
        f"connections.ssh{part}"
        for part in ("", "_access", "_channels", "_commands", "_connections", "_files", "_keys")
    },
    "jsonschema": {"job.problems", "testshell.definition", "testshell.definition_schema"},
    "requests": {"deploy.http", "deploy.http_connections"},
    "regex": {"testshell.pattern"},
    "yaml": {"job.load", "safe_yaml", "testshell.definition"},
}
"""The only modules that may import each of these libraries."""


def imports() -> Iterator[tuple[str, str]]:
    """Pairs of a module and what it imports, without the package's own name."""
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            yield from ((module, name) for name in names)


def neighbors() -> dict[str, set[str]]:
    """The modules that each module imports, be they of its own package or of another."""
    pairs = list(imports())
    found: dict[str, set[str]] = {module: set() for module, _ in pairs}
    for module, name in pairs:
        target = name.removeprefix("lava_vmgroup.")
        if target != name:
            known = target if target in found else target.rpartition(".")[0]
            found[module] |= {known} & found.keys() - {module}
    return found


def room(module: str) -> str:
    """The most precise entry of the floors' table for a module."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next(name for name in names if name in FLOORS)


def test_imports_point_downwards() -> None:
    seen, wrong = 0, []
    for module, name in imports():
        target = name.removeprefix("lava_vmgroup.")
        if target == name or module == "__init__" or target == "__version__":
            continue
        seen += 1
        here, there = room(module), room(target)
        same_package = here.split(".")[0] == there.split(".")[0]
        on_the_ground = FLOORS[here] == FLOORS[there] == 0
        if FLOORS[here] <= FLOORS[there] and not same_package and not on_the_ground:
            wrong.append(f"{module} ({FLOORS[here]}) imports {target} ({FLOORS[there]})")

    assert seen > 100
    assert not wrong


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


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in ROOT.rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }

    assert not long
