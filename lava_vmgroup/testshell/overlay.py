# SPDX-License-Identifier: MIT
"""The tests of one node as a plain tar: helpers, group facts, generated scripts, a list of work.

The tar is unpacked at ``/`` of the node and makes this, the layout of LAVA::

    <lava_test_dir>/bin/                       the helpers, on PATH while tests run
    <lava_test_dir>/lava-environment           facts for the helpers, sourced by them
    <lava_test_dir>/lava-test-runner.conf      one test directory a line
    <lava_test_dir>/tests/<index>_<uuid>/      the definition, its install.sh and its run.sh
    <lava_test_dir>/results/                   empty; filled by lava-test-runner

Each lava_test_shell action of a job builds a tar of its own.  Unpacking it replaces the helpers,
the environment and the list of work; tests/ and results/ of an earlier action have other UUIDs in
their names and stay until somebody removes the directory.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import PurePosixPath

from lava_vmgroup.errors import JobError
from lava_vmgroup.testshell.definition import PARAMETER_NAME, TestDefinition, metadata_text

MULTI_NODE_CACHE = "/tmp/lava_multi_node_cache.txt"  # noqa: S108 - tests read it there

_MTIME_S = 1
"""GNU tar warns of 0 and of the future, and a board without a clock starts at 0."""

_DIRECTORY_MODE = 0o755
_PROGRAM_MODE = 0o755
_FILE_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayTest:
    """One test definition of a node's work."""

    definition: TestDefinition
    uuid: str
    source: str
    """The YAML text that `definition` was read from; kept beside the results."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Shell variables of the job; they override the definition's params."""
    location: str = "URL"
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlaySpec:
    """Everything that one node's overlay is made of."""

    node: str
    role: str
    group: Sequence[tuple[str, str]]
    """Name and role of every member, this node included."""
    tests: Sequence[OverlayTest]
    lava_test_dir: str = ""
    """Absolute path on the node; empty for ``/lava-<node>``."""
    target_group: str = ""
    host_ip: str | None = None
    """Where VMs reach the host, for lava-start-vms; None when it is not known (yet)."""
    is_host: bool = False
    shell: str = "/bin/sh"
    """Absolute path of the node's shell; runs the helpers and the steps of the tests."""
    debug: bool = False
    """Whether the MultiNode helpers print debug lines."""
    multi_node_cache: str = MULTI_NODE_CACHE
    """Where the node keeps the data of the last lava-wait."""

    @property
    def directory(self) -> PurePosixPath:
        """Where the overlay is on the node."""
        return PurePosixPath(self.lava_test_dir or f"/lava-{self.node}")


def build_overlay(spec: OverlaySpec) -> bytes:
    """The tar for `spec`: uncompressed, the same bytes for the same spec, owned by root.

    Raises JobError when a name or a path of the job cannot stand in the node's files.
    """
    problems = list(_problems(spec))
    if problems:
        raise JobError(f"test shell of {spec.node}: {'; '.join(problems)}", problems=problems)
    buffer = io.BytesIO()
    # ustar is what every tar reads, busybox's included, without extensions.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        root = spec.directory.relative_to("/")
        for name, content, mode in _entries(spec):
            entry = tarfile.TarInfo(str(root / name))
            entry.mtime = _MTIME_S
            entry.uname = entry.gname = "root"
            entry.mode = mode
            if content is None:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            else:
                data = content.encode()
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def runner_command(spec: OverlaySpec) -> str:
    """The shell command that runs the overlay's tests once it is unpacked."""
    directory = str(spec.directory)
    return f"{quoted(f'{directory}/bin/lava-test-runner')} {quoted(directory)}"


def quoted(text: str) -> str:
    """`text` as one word of shell code, whatever it holds (NUL excepted)."""
    if re.fullmatch(r"[A-Za-z0-9_@%+:,./-]+", text):
        return text
    return _assigned(text)


def _assigned(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _problems(spec: OverlaySpec) -> Iterator[str]:
    for what, path in (("lava_test_dir", str(spec.directory)), ("shell", spec.shell)):
        if not re.fullmatch(r"(/[A-Za-z0-9_.+-]+)+", path) or ".." in PurePosixPath(path).parts:
            yield f"{what}: expected an absolute path of letters, digits and _.+-, found {path!r}"
    for text in (spec.node, spec.role, *(word for member in spec.group for word in member)):
        if not text.isprintable() or not text:
            yield f"expected a printable name or role, found {text!r}"
    for test in spec.tests:
        if not re.fullmatch(r"[A-Za-z0-9-]+", test.uuid):
            yield f"{test.definition.name}: expected a UUID, found {test.uuid!r}"
        for name, value in test.parameters.items():
            place = f"{test.definition.name}: parameters.{name}"
            if not PARAMETER_NAME.fullmatch(name):
                yield f"{place}: expected a shell variable's name: letters, digits and _"
            if "\0" in value:
                yield f"{place}: expected text without NUL, which no shell variable can hold"


def _entries(spec: OverlaySpec) -> Iterator[tuple[str, str | None, int]]:
    """Name in the overlay, text (None for a directory) and mode of every member."""
    yield "", None, _DIRECTORY_MODE
    yield "bin", None, _DIRECTORY_MODE
    scripts = resources.files("lava_vmgroup.testshell") / "scripts"
    for script in sorted(scripts.iterdir(), key=lambda script: script.name):
        text = script.read_text(encoding="utf-8")
        if script.name.endswith(".sh"):
            yield f"bin/{script.name}", text, _FILE_MODE
        else:
            body = text.partition("\n")[2]
            yield f"bin/{script.name}", f"#!{spec.shell}\n{body}", _PROGRAM_MODE
    yield "lava-environment", _environment(spec), _FILE_MODE
    yield "tests", None, _DIRECTORY_MODE
    work = []
    for index, test in enumerate(spec.tests):
        name = f"{index}_{test.uuid}"
        work.append(f"{spec.directory}/tests/{name}\n")
        yield f"tests/{name}", None, _DIRECTORY_MODE
        for file, text, mode in _test_files(test, f"{spec.directory}/tests/{name}"):
            yield f"tests/{name}/{file}", text, mode
    yield "results", None, _DIRECTORY_MODE
    yield "lava-test-runner.conf", "".join(work), _FILE_MODE


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
        "LAVA_SHELL": spec.shell,
        "LAVA_MULTI_NODE_CACHE": spec.multi_node_cache,
        "LAVA_MULTI_NODE_DEBUG": "yes" if spec.debug else "",
    }
    return "# Facts for the helpers in bin/, sourced by them.\n" + _assignments(variables)


def _assignments(variables: Mapping[str, str]) -> str:
    return "".join(f"{name}={_assigned(value)}\n" for name, value in variables.items())


def _test_files(test: OverlayTest, directory: str) -> Iterator[tuple[str, str, int]]:
    definition = test.definition
    yield "testdef.yaml", test.source, _FILE_MODE
    yield "testdef_metadata", metadata_text(definition, test.location, test.url), _FILE_MODE
    yield "uuid", f"{test.uuid}\n", _FILE_MODE
    if definition.dependencies or definition.install_steps:
        yield "install.sh", _install_script(test, directory), _PROGRAM_MODE
    yield "run.sh", _run_script(test, directory), _PROGRAM_MODE


def _script_start(test: OverlayTest, directory: str, options: str) -> str:
    variables = {**test.definition.params, **test.parameters}
    return f"{_assignments(variables)}set {options}\ncd {quoted(directory)}\n"


def _install_script(test: OverlayTest, directory: str) -> str:
    lines = []
    packages = [word for entry in test.definition.dependencies for word in entry.split()]
    if packages:
        lines.append(f"lava-install-packages {' '.join(map(quoted, packages))}")
    lines += map(_step, test.definition.install_steps)
    return _script_start(test, directory, "-ex") + "".join(f"{line}\n" for line in lines)


def _run_script(test: OverlayTest, directory: str) -> str:
    # The marker's name is printed apart: a trace (set -x) of these lines must be no marker.
    name = quoted(test.definition.name)
    marker = f"printf '<LAVA_SIGNAL_%s %s %s>\\n' {{}} {name} {test.uuid}"
    lines = [
        f"export TESTRUN_ID={name}",
        marker.format("STARTRUN"),
        *map(_step, test.definition.run_steps),
        marker.format("ENDRUN"),
    ]
    return _script_start(test, directory, "-e") + "".join(f"{line}\n" for line in lines)


def _step(step: str) -> str:
    """LAVA keeps ``$1`` in commands for helpers from the script's own (empty) arguments."""
    if "--shell" in step or "--cmd" in step:
        return re.sub(r"(?<!\\)\$(?=\d)", r"\\$", step)
    return step
