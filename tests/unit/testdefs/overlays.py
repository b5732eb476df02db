# SPDX-License-Identifier: MIT
"""An overlay of two tests, and what is in it."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

from lava_vmgroup.testdefs.definition import TestDefinition
from lava_vmgroup.testdefs.overlay import (
    OverlaySpec,
    OverlayTest,
    build_overlay,
)

PLAIN = TestDefinition(
    name="plain", format="1.0", description="", params={"A": "1"}, run_steps=("true", "false")
)


FULL = TestDefinition(
    name="full",
    format="1.0",
    description="",
    dependencies=("gcc make", "g++;x"),
    install_steps=("make all",),
    run_steps=(),
)


SPEC = OverlaySpec(
    node="vm1-job0.1",
    role="client",
    group=[("board", "host"), ("vm1-job0.1", "client"), ("vm2-job0.2", "client")],
    tests=[
        OverlayTest(definition=PLAIN, uuid="aa-11", source="plain: é\n", url="https://lab/x"),
        OverlayTest(definition=FULL, uuid="bb-22", source="full\n"),
    ],
    target_group="group-1",
    host_ip="10.0.0.1",
)


ROOT = "lava-vm1-job0.1"


def members(spec: OverlaySpec) -> dict[str, tarfile.TarInfo]:
    """The tar's entries by name, in order."""
    with tarfile.open(fileobj=io.BytesIO(build_overlay(spec)), mode="r:") as tar:
        return {member.name: member for member in tar}


def text_of(spec: OverlaySpec, name: str) -> str:
    """Return the text of a file in the overlay."""
    with tarfile.open(fileobj=io.BytesIO(build_overlay(spec)), mode="r:") as tar:
        file = tar.extractfile(f"{spec.directory.relative_to('/')}/{name}")
        assert file is not None
        return file.read().decode()


def run_script(test: OverlayTest) -> str:
    """The run.sh of a test."""
    return text_of(replace(SPEC, tests=[test]), f"tests/0_{test.uuid}/run.sh")
