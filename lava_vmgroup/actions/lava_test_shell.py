# SPDX-License-Identifier: MIT
"""``lava_test_shell``: test definitions, run in the node's shell."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.scratch import scratch_folder
from lava_vmgroup.job.model import Action, Scope
from lava_vmgroup.job.reference import FileReference
from lava_vmgroup.testdefs.loading import DefinitionLoader
from lava_vmgroup.testdefs.overlay import directory_problem
from lava_vmgroup.testdefs.source import SOURCE_SCHEMA, Source, SourceKind, parse_source
from lava_vmgroup.testdefs.steps import SkipInstall

if TYPE_CHECKING:
    from lava_vmgroup.nodes.node import Node

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "testdef_urls": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "minLength": 1},
        },
        "testdef_repos": {"type": "array", "minItems": 1, "items": SOURCE_SCHEMA},
        "timeout": {"type": "number", "exclusiveMinimum": 0},
        "skip_install": {"enum": [part.value for part in SkipInstall]},
        "lava_test_dir": {"type": "string", "minLength": 1},
        "lava_test_results_dir": {"type": "string"},
        "repeat_count": {"type": "integer", "minimum": 0},
    },
}

_CHECK_S = 120.0


def check(action: Action, scope: Scope) -> Iterator[str]:
    """Yield the problems of the test definitions that can be loaded without a network."""
    parameters = action.parameters
    if not parameters.keys() & {"testdef_urls", "testdef_repos"}:
        yield "testdef_urls: missing; give testdef_urls, testdef_repos or both"
    if "lava_test_dir" in parameters and (
        problem := directory_problem(_with_node(parameters["lava_test_dir"], "node"))
    ):
        yield f"lava_test_dir: {problem}"
    with scratch_folder() as work:
        loader = DefinitionLoader(
            folder=scope.folder,
            work=work,
            deadline=Deadline.after("checking the test definitions", _CHECK_S),
        )
        for place, entry in _entries(parameters):
            try:
                loader.load(_source(entry))
            except JobError as error:
                for problem in error.problems or (error.describe(),):
                    yield f"{place}: {problem}"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Load the test definitions, boot the node if it is not up, and run them one after the other.

    A host then waits for its VMs.
    """
    shared, parameters = node.shared, action.parameters
    limit = deadline
    if "timeout" in parameters:
        limit = deadline.exactly("lava_test_shell", parameters["timeout"])
    skipped = parameters.get("skip_install")
    with tempfile.TemporaryDirectory(dir=shared.work, prefix=f"{node.name}-tests-") as work:
        loader = DefinitionLoader(
            folder=shared.group.settings.folder,
            work=Path(work),
            deadline=limit,
            warn=lambda text: node.log.warning("testdef", text),
            skip_install=None if skipped is None else SkipInstall(skipped),
            environment=shared.lab.dispatcher.proxy_variables,
            checkouts=shared.checkouts,
            download=lambda url: shared.files.fetch(FileReference(url=url), limit, node.log),
        )
        tests = [test for _, entry in _entries(parameters) for test in loader.load(_source(entry))]
    node.run_tests(
        tests,
        limit,
        directory=_with_node(parameters.get("lava_test_dir", ""), node.name),
        repeat_count=parameters.get("repeat_count", 0),
    )
    # As in LAVA v1, the timeout is that of the tests: the VMs may take longer.
    node.test_shell_ended(deadline)


def _entries(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str | Mapping[str, Any]]]:
    """Yield the place and the entry of every test definition, in the order in which they run."""
    for key in ("testdef_urls", "testdef_repos"):
        for index, entry in enumerate(parameters.get(key, ())):
            yield f"{key}[{index}]", entry


def _source(entry: str | Mapping[str, Any]) -> Source:
    if isinstance(entry, str):
        return Source(kind=SourceKind.URL, location=entry)
    return parse_source(entry)


def _with_node(directory: str, name: str) -> str:
    """Return a path with the node's name in place of LAVA's ``%s``."""
    return directory.replace("%s", name)
