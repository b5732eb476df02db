# SPDX-License-Identifier: MIT
"""Reading of a job file: YAML if its name ends in one of `YAML_SUFFIXES`, else JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lava_vmgroup.base import safe_yaml
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.text import decoded
from lava_vmgroup.job.scalars import JsonNumber, settled
from lava_vmgroup.job.schema import JOB_SCHEMA
from lava_vmgroup.job.sub_job import SUB_JOB_SCHEMA, is_sub_job

MAX_JOB = 64 << 20
"""Bytes of a job file; it may hold archives of tests."""

MAX_VALUES = 1_000_000
"""Values of a job in JSON; in memory an empty list takes 30 times the room of its text."""

YAML_SUFFIXES = (".yaml", ".yml")


def load_document(
    path: Path, parameter_schemas: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> Any:
    """Read the job file at `path` as plain data.

    `parameter_schemas` holds the schema of each known command's parameters: if a parameter takes
    text, a number without quotes stays as its author wrote it.  Raises `JobError`, with the place
    if it is known, for a file that cannot be read or parsed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JOB + 1)
    except OSError as error:
        raise JobError(f"cannot read the job file {path}: {error.strerror}") from error
    if len(content) > MAX_JOB:
        raise JobError(f"the job file {path} has more than {MAX_JOB >> 20} MiB")
    try:
        text = decoded(content)
    except ValueError as error:
        raise JobError(f"{path} {error}") from error
    parse = _parse_yaml if path.suffix in YAML_SUFFIXES else _parse_json
    document = parse(path, text)
    schema = SUB_JOB_SCHEMA if is_sub_job(document) else JOB_SCHEMA
    try:
        return settled(document, schema, parameter_schemas)
    except ValueError as error:
        raise JobError(f"{path}: {error}") from error
    except RecursionError as error:
        raise JobError(f"{path}: nested too deeply, or into itself") from error


def _parse_json(path: Path, text: str) -> Any:
    if sum(text.count(mark) for mark in "[{,") > MAX_VALUES:
        raise JobError(f"{path}: more than {MAX_VALUES} values")
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_int=JsonNumber.whole,
            parse_float=JsonNumber.real,
            parse_constant=JsonNumber.real,
        )
    except json.JSONDecodeError as error:
        raise JobError(
            f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}",
            hint="name the file .yaml if it is YAML",
        ) from error
    except _DuplicateKeyError as error:
        raise JobError(f"{path}: the key {error.args[0]!r} stands twice in one object") from error
    except ValueError as error:
        raise JobError(f"{path}: a number has too many digits") from error
    except RecursionError as error:
        raise JobError(f"{path}: nested too deeply, or into itself") from error


class _DuplicateKeyError(Exception):
    pass


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise _DuplicateKeyError(key)
        mapping[key] = value
    return mapping


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        return safe_yaml.load(text)
    except safe_yaml.ERRORS as error:
        line, column, message = safe_yaml.problem(error)
        place = f":{line}:{column}" if line else ""
        raise JobError(f"{path}{place}: {message}") from error
