# SPDX-License-Identifier: MIT
"""``lava_test_shell``: test definitions, run in the node's shell."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import local_path
from lava_vmgroup.errors import JobError
from lava_vmgroup.job.model import Action, Job
from lava_vmgroup.job.reference import FileReference
from lava_vmgroup.nodes.node import Node
from lava_vmgroup.testshell.definition import parse_definition
from lava_vmgroup.testshell.overlay import OverlayTest

PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["testdef_urls"],
    "properties": {
        "testdef_urls": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "timeout": {"type": "number", "exclusiveMinimum": 0},
    },
}


def check(action: Action, job: Job) -> Iterator[str]:
    """Whether the test definitions are there and valid."""
    for index, reference in enumerate(action.parameters["testdef_urls"]):
        place = f"testdef_urls[{index}]"
        try:
            path = local_path(reference, job.folder)
            if path is not None:
                _load(path, reference)
        except JobError as error:
            for problem in error.problems or (error.message,):
                yield f"{place}: {problem}"


def run(action: Action, node: Node, deadline: Deadline) -> None:
    """Boot the node unless it runs already, and run the definitions one after the other."""
    if "timeout" in action.parameters:
        deadline = deadline.sub("lava_test_shell", action.parameters["timeout"])
    tests = []
    for reference in action.parameters["testdef_urls"]:
        path = node.shared.files.fetch(FileReference.of(reference), deadline, node.log)
        tests.append(_load(path, reference))
    node.run_tests(tests, deadline)


def _load(path: Path, reference: str) -> OverlayTest:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise JobError(f"cannot read the test definition {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise JobError(f"the test definition {path} is not UTF-8 text") from error
    return OverlayTest(
        definition=parse_definition(text, source=reference),
        uuid=str(uuid.uuid4()),
        source=text,
        location="URL",
        url=reference,
    )
