# SPDX-License-Identifier: MIT
"""The tests of one node as a plain tar: helpers, group facts, generated scripts, a list of work.

The node unpacks the tar at ``/``.  That makes LAVA's layout::

    <lava_test_dir>/bin/                       the helpers, on PATH while tests run
    <lava_test_dir>/lava-environment           facts for the helpers, sourced by them
    <lava_test_dir>/lava-test-runner.conf      one test directory a line
    <lava_test_dir>/lava-test-runner.results   empty; lava-test-runner lists the results' folders
    <lava_test_dir>/tests/<index>_<uuid>/      the repository's files, the definition, its scripts
    <lava_test_dir>/results/                   empty; filled by lava-test-runner

Repositories that are large, or that many tests use, are not in this tar.  Each travels once, as a
tar of its own that the node unpacks in ``<lava_test_dir>/trees/<number>/``.  Then ``trees/place``
gives every test a copy of its own, because tests write there.

Each lava_test_shell action of a job builds a tar of its own.  Unpacking it replaces the helpers,
the environment and the list of work.  The tests/ and results/ of an earlier action have other UUIDs
in their names and stay until the directory is removed.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import PurePosixPath

from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.shell_programs import program_text, without_comments
from lava_vmgroup.results.model import SoftwareSource
from lava_vmgroup.testdefs import steps
from lava_vmgroup.testdefs.definition import TestDefinition, metadata_text
from lava_vmgroup.testdefs.source import parameter_problems
from lava_vmgroup.testdefs.steps import Facts, SkipInstall, assignments, quoted
from lava_vmgroup.testdefs.tree import Folder, Tree, TreeEntry, moved, pack, size_of

MULTI_NODE_CACHE = "/tmp/lava_multi_node_cache.txt"  # noqa: S108 - tests read it there

RECORDS_PORT = "lava-vmgroup.records"
"""Name of a VM's virtio port for records; the guest finds the port by it."""

GENERATED = frozenset({"testdef.yaml", "testdef_metadata", "uuid", "install.sh", "run.sh"})
"""Generated files of a test's directory.  A repository's file of the same name is left out."""

_APART_BYTES = 1 << 20
"""A tree travels apart if it would add at least so many bytes to the overlay, over all tests."""

_UNPACK_S = 60.0
_SLOWEST = 256 << 10
"""Bytes per second at which the slowest link, card or guest takes a large overlay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayTest:
    """One test of a node: its definition, its files, and their origin."""

    definition: TestDefinition
    uuid: str
    source: str
    """The YAML text that `definition` was read from, without secrets; kept beside the results."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Shell variables of the job; they override the definition's params."""
    location: str = "URL"
    url: str = ""
    files: Tree = ()
    """The files in the test's directory beside its definition and scripts."""
    repositories: tuple[tuple[str, Tree], ...] = ()
    """The repositories to install, each as a folder of the test's directory and its content."""
    software: tuple[SoftwareSource, ...] = ()
    """The origins of the definition and of the repositories, for the results."""
    skip_install: SkipInstall | None = None

    @property
    def installs(self) -> bool:
        """True if the test has an install script."""
        facts = Facts(uuid=self.uuid, directory="/", parameters={})
        return steps.install_script(self.definition, facts, self.skip_install) is not None

    @property
    def metadata(self) -> dict[str, str]:
        """The testdef_metadata of a result bundle."""
        return self.definition.metadata_for_bundle(self.location, self.url)

    @property
    def trees(self) -> tuple[tuple[str, Tree], ...]:
        """The trees from repositories, each with its folder in the test's directory, in the order
        in which they are laid over each other."""
        trees = (("", self.files), *self.repositories)
        return tuple((folder, tree) for folder, tree in trees if tree)

    def has_any_of(self, trees: Collection[Tree]) -> bool:
        """Return whether one of `trees` belongs to the test."""
        return any(tree in trees for _, tree in self.trees)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlaySpec:
    """The input for one node's overlay."""

    node: str
    role: str
    group: Sequence[tuple[str, str]]
    """Name and role of every member, this node included."""
    tests: Sequence[OverlayTest]
    first_number: int = 0
    """The first test's number on the node.  Numbers go on from action to action: a program that an
    earlier test left running must not record for one of these tests."""
    lava_test_dir: str = ""
    """Absolute path on the node; empty for ``/lava-<node>``."""
    target_group: str = ""
    host_ip: str | None = None
    """The address at which VMs reach the host, for lava-start-vms; None if it is not known yet."""
    is_host: bool = False
    shell: str = "/bin/sh"
    """Absolute path of the shell that runs the helpers."""
    steps_shell: str = ""
    """Absolute path of the shell that runs the tests' steps.  If empty, the node takes /bin/bash,
    or /bin/sh if it has no bash."""
    server_ip: str = ""
    """The dispatcher's address, for the tests' LAVA_SERVER_IP; empty if it is not known."""
    exports: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for everything that runs in a test."""
    repeat_count: int = 0
    """The tests' REPEAT_COUNT; 0 leaves the variable unset."""
    debug: bool = False
    """True if the MultiNode helpers print debug lines."""
    records_file: str = ""
    """Path of the node's file for records beside the console.  If empty, the node uses its port
    `RECORDS_PORT`, if it has one."""
    multi_node_cache: str = MULTI_NODE_CACHE
    """Path of the node's file for the data of the last lava-wait or lava-wait-all."""

    @property
    def directory(self) -> PurePosixPath:
        """The overlay's directory on the node."""
        return PurePosixPath(self.lava_test_dir or f"/lava-{self.node}")


def build_overlay(spec: OverlaySpec) -> bytes:
    """Return the tar for `spec`, without the `trees_apart` of its tests.

    Raises `JobError` if a name or a path of the job cannot be written into the node's files.
    """
    problems = list(_problems(spec))
    if problems:
        raise JobError(f"test shell of {spec.node}: {'; '.join(problems)}", problems=problems)
    buffer = io.BytesIO()
    pack(moved(tuple(_entries(spec)), str(spec.directory.relative_to("/"))), buffer)
    return buffer.getvalue()


def trees_apart(tests: Sequence[OverlayTest]) -> tuple[Tree, ...]:
    """Return the trees that travel beside the overlay, each once, in the order of their numbers."""
    uses = Counter(tree for test in tests for _, tree in test.trees)
    heavy = {tree for tree, number in uses.items() if size_of(tree) * number >= _APART_BYTES}
    # A test's trees are laid over each other in order: if one travels apart, all of them do.
    apart = [test for test in tests if test.has_any_of(heavy)]
    return tuple(dict.fromkeys(tree for test in apart for _, tree in test.trees))


def placed_bytes(tests: Sequence[OverlayTest]) -> int:
    """Return the bytes that the trees take on the node once every test has its own copies."""
    return sum(size_of(tree) for test in tests for _, tree in test.trees)


def unpacking_s(size: int) -> float:
    """Return the seconds that a slow node may need to unpack `size` bytes of tests."""
    return _UNPACK_S + size / _SLOWEST


def placing_command(spec: OverlaySpec) -> str:
    """Return the shell command that gives every test its copies of the `trees_apart`."""
    return f"sh {quoted(str(spec.directory))}/trees/place"


def runner_command(spec: OverlaySpec) -> str:
    """Return the shell command that runs the tests of the unpacked overlay."""
    directory = str(spec.directory)
    return f"{quoted(f'{directory}/bin/lava-test-runner')} {quoted(directory)}"


def directory_problem(path: str) -> str | None:
    """Return the reason why `path` cannot be a folder or a program on the node, or None."""
    if re.fullmatch(r"(/[A-Za-z0-9_.+-]+)+", path) and ".." not in PurePosixPath(path).parts:
        return None
    return f"expected an absolute path of letters, digits and _.+-, found {path!r}"


def _problems(spec: OverlaySpec) -> Iterator[str]:
    for what, path in (("lava_test_dir", str(spec.directory)), ("shell", spec.shell)):
        if problem := directory_problem(path):
            yield f"{what}: {problem}"
    for text in (spec.node, spec.role, *(word for member in spec.group for word in member)):
        if not text.isprintable() or not text:
            yield f"expected a printable name or role, found {text!r}"
    for test in spec.tests:
        if not re.fullmatch(r"[A-Za-z0-9-]+", test.uuid):
            yield f"{test.definition.name}: expected a UUID, found {test.uuid!r}"
        for problem in parameter_problems(test.parameters):
            yield f"{test.definition.name}: parameters.{problem}"


def _file(path: str, text: str, *, executable: bool = False) -> TreeEntry:
    return TreeEntry(path=path, content=text.encode(), executable=executable)


def _entries(spec: OverlaySpec) -> Iterator[TreeEntry]:
    """Yield every member of the overlay, with paths relative to its directory."""
    yield Folder(path=".")
    yield Folder(path="bin")
    scripts = resources.files("lava_vmgroup.testdefs") / "scripts"
    for script in sorted(scripts.iterdir(), key=lambda script: script.name):
        # A guest without an overlay disk has them typed, character by character.
        text = without_comments(script.read_text(encoding="utf-8"))
        if script.name.endswith(".sh"):
            yield _file(f"bin/{script.name}", text)
        else:
            yield _file(f"bin/{script.name}", f"#!{spec.shell}\n{text}", executable=True)
    yield _file("lava-environment", _environment(spec))
    yield Folder(path="tests")
    work, apart = [], trees_apart(spec.tests)
    for index, test in enumerate(spec.tests, spec.first_number):
        name = f"{index}_{test.uuid}"
        work.append(f"{spec.directory}/tests/{name}\n")
        folder = f"trees/{name}" if test.has_any_of(apart) else f"tests/{name}"
        yield Folder(path=folder)
        if not test.has_any_of(apart):
            yield from moved(_files_of(test), folder)
        generated = _generated_files(spec, test, f"{spec.directory}/tests/{name}")
        yield from moved(tuple(generated), folder)
    if apart:
        yield from (Folder(path=f"trees/{number}") for number, _ in enumerate(apart))
        yield _file("trees/place", _placing_script(spec, apart))
    yield Folder(path="results")
    yield _file("lava-test-runner.results", "")
    yield _file("lava-test-runner.conf", "".join(work))


def _environment(spec: OverlaySpec) -> str:
    roles = dict.fromkeys(role for _, role in spec.group)
    variables = {
        "LAVA_NODE_NAME": spec.node,
        "LAVA_NODE_ROLE": spec.role,
        "LAVA_ROLES": "\n".join(roles),
        "LAVA_GROUP": "\n".join(f"{name}\t{role}" for name, role in spec.group),
        "LAVA_TARGET_GROUP": spec.target_group,
        "LAVA_IS_HOST": "yes" if spec.is_host else "",
        "LAVA_HOST_IP": spec.host_ip or "",
        "LAVA_STEPS_SHELL": spec.steps_shell,
        "LAVA_RECORDS_FILE": spec.records_file,
        "LAVA_RECORDS_PORT": "" if spec.records_file else RECORDS_PORT,
        "LAVA_MULTI_NODE_CACHE": spec.multi_node_cache,
        "LAVA_MULTI_NODE_DEBUG": "yes" if spec.debug else "",
    }
    exports = "".join(f"export {name}={quoted(value)}\n" for name, value in spec.exports.items())
    return f"# Facts for the helpers in bin/, sourced by them.\n{assignments(variables)}{exports}"


def _files_of(test: OverlayTest) -> Tree:
    """Return the files from repositories, without those named like generated files."""
    entries = (entry for folder, tree in test.trees for entry in moved(tree, folder))
    return tuple(entry for entry in entries if entry.path.split("/")[0] not in GENERATED)


def _generated_files(spec: OverlaySpec, test: OverlayTest, directory: str) -> Iterator[TreeEntry]:
    facts = Facts(
        uuid=test.uuid,
        directory=directory,
        parameters=test.parameters,
        server_ip=spec.server_ip,
        repeat_count=spec.repeat_count,
    )
    yield _file("testdef.yaml", test.source)
    yield _file("testdef_metadata", metadata_text(test.metadata))
    yield _file("uuid", f"{test.uuid}\n")
    install = steps.install_script(test.definition, facts, test.skip_install)
    if install is not None:
        yield _file("install.sh", install, executable=True)
    yield _file("run.sh", steps.run_script(test.definition, facts), executable=True)


def _placing_script(spec: OverlaySpec, apart: Sequence[Tree]) -> str:
    """Return the shell program that makes the directories of tests whose trees travelled apart."""
    generated = " ".join(sorted(GENERATED))
    lines = [program_text("testdefs/place_trees.sh"), f"cd {quoted(str(spec.directory))}\n"]
    left = Counter(tree for test in spec.tests for _, tree in test.trees)
    for index, test in enumerate(spec.tests, spec.first_number):
        name = f"{index}_{test.uuid}"
        if not test.has_any_of(apart):
            continue
        for folder, tree in test.trees:
            left[tree] -= 1
            which = "copy" if left[tree] else "last"
            target = quoted(posixpath.normpath(f"tests/{name}/{folder}"))
            lines.append(f"place {which} {apart.index(tree)} {target}\n")
        lines.append(f"own {name} {generated}\n")
    return "".join([*lines, "rm -rf trees\n"])
