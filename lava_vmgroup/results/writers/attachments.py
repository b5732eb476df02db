# SPDX-License-Identifier: MIT
"""The attachments of tests as files: ``<node>/attachments/<run>/<name>``."""

from __future__ import annotations

from pathlib import Path

from lava_vmgroup.results import writers
from lava_vmgroup.results.attachments import placed_runs
from lava_vmgroup.results.model import JobResult


def write(result: JobResult, folder: Path) -> list[Path]:
    """Write every attachment below `folder`; return the paths.

    Raises `InfrastructureError` if a file cannot be written.
    """
    return [
        writers.replace_file(folder / placed.path, placed.attachment.content)
        for node in result.nodes
        for run in placed_runs(node)
        for placed in run.all()
    ]
