# SPDX-License-Identifier: MIT
"""A group's sub-jobs as files: one each for a dispatcher, or all of them as a job of LAVA v2."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

from lava_vmgroup.base.errors import ConfigurationError
from lava_vmgroup.cli.arguments import LAVA_V2
from lava_vmgroup.cli.output import print_document
from lava_vmgroup.job import to_document
from lava_vmgroup.job.model import VMGroup


def write_expansion(group: VMGroup, options: argparse.Namespace) -> None:
    """Write new files that only this user can read, as they may hold a token; print their paths.

    Raises `JobError` if LAVA's workers would miss a file of the job, and `ConfigurationError` if
    the files cannot be written.
    """
    folder: Path = options.expand_to
    texts = list(_texts(group, options))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [_write_new(folder / name, text) for name, text in texts]
        print_document("".join(f"{path}\n" for path in paths))
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {error.filename}: {error.strerror}",
            hint="give --expand-to a folder without the sub-jobs of another job",
        ) from error


def _texts(group: VMGroup, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file."""
    if options.format == LAVA_V2:
        # Other jobs need no YAML to be written.
        from lava_vmgroup.cli.lava_job import multinode_job

        yield "job.yaml", multinode_job(group, options)
        return
    for node in group.nodes:
        document = to_document(group, node, secrets=True)
        if node.is_host and options.target is not None:
            document["target"] = options.target
        yield f"{node.sub_id}.json", json.dumps(document, indent=2) + "\n"


def _write_new(path: Path, text: str) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path
