# SPDX-License-Identifier: MIT
"""One module per result format.

A format is a module of this package with a function ``write(result, folder) -> paths``; nothing
lists the formats elsewhere.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

from lava_vmgroup.base.errors import InfrastructureError
from lava_vmgroup.results.model import JobResult

Writer = Callable[[JobResult, Path], list[Path]]


def formats() -> Iterator[tuple[str, Writer]]:
    """Every format there is with its writer, by name."""
    for name in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        if hasattr(module, "write"):
            yield name, module.write


def write_all(result: JobResult, folder: Path) -> list[Path]:
    """Write the result in every format; returns the files written.

    A format that fails does not keep the others from being written.  Afterwards the first
    failure is raised: `InfrastructureError` when a file could not be written, any other
    exception as it is.
    """
    paths: list[Path] = []
    failures: list[Exception] = []
    for _, write in formats():
        try:
            paths += write(result, folder)
        except Exception as error:  # noqa: BLE001 (raised below, when the others are written)
            failures.append(error)
    if failures:
        raise failures[0]
    return paths


def replace_file(path: Path, content: str | bytes) -> Path:
    """Write a file in one step, so that no reader ever sees half of it; returns its path.

    Makes the folder when it is missing.  Raises `InfrastructureError`.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content if isinstance(content, bytes) else content.encode())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InfrastructureError(
            f"writing the result file {path} failed: {error.strerror or error}",
            hint="check the room and the permissions of the output directory",
        ) from error
    return path
