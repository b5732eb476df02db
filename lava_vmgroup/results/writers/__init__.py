# SPDX-License-Identifier: MIT
"""The result formats, one module each.

A module of this package with a function ``write(result, folder) -> paths`` is a format.  No list
of formats has to be changed for a new one.
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
    """Yield the name and the writer of every format, sorted by name."""
    for name in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        if hasattr(module, "write"):
            yield name, module.write


def group_files() -> Iterator[str]:
    """Yield the names of the files about the whole group, for the formats that give one."""
    for name, _ in formats():
        file = getattr(importlib.import_module(f"{__name__}.{name}"), "FILE", None)
        if file is not None:
            yield file


def write_all(result: JobResult, folder: Path) -> list[Path]:
    """Write the result to `folder` in every format; return the paths of the files.

    If a format fails, the others are written nevertheless.  Then the first failure is raised:
    `InfrastructureError` if a file could not be written, any other exception as it is.
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
    """Write a file in one step, so that no reader ever sees half of it; return its path.

    A missing folder is made.  Raises `InfrastructureError` if the file cannot be written.
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
