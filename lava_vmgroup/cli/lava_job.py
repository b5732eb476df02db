# SPDX-License-Identifier: MIT
"""A group as a MultiNode job of LAVA v2, each of whose members runs one sub-job in a docker test.

The job contains all that its members need of this machine: the sub-jobs and the local test
definitions.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from lava_vmgroup import actions
from lava_vmgroup.base import safe_yaml
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.masking import masked
from lava_vmgroup.deploy import customize
from lava_vmgroup.deploy.fetch import local_path
from lava_vmgroup.job import to_document
from lava_vmgroup.job.model import NodeJob, VMGroup
from lava_vmgroup.job.reference import FILE_SCHEMA, FileReference
from lava_vmgroup.testdefs.definition import TestDefinition, parse_definition
from lava_vmgroup.testdefs.loading import read_text
from lava_vmgroup.testdefs.repositories import local_repository
from lava_vmgroup.testdefs.source import Source, SourceKind, parse_source

IMAGE = "localhost/lava-vmgroup"
"""The image for docker tests that the worker has, if the user names no other one."""
_MAX_NAME = 200
_END_S = 120
"""Seconds for a member's start and clean-up, besides the time of the job."""
_PREPARING_S = 180
_METADATA = {
    "format": "Lava-Test Test Definition 1.0",
    "name": "vm-group",
    "description": "one node of a VM group",
}
_GROUP = "group=lava-$(lava-group | sort -n | head -n 1 | cut -f 1)"
"""The numbers of the members' jobs are known to all members, and to no other group."""
_CHANGED = re.compile(r"\$\d")
"""The text before which LAVA puts a backslash in steps that have ``--shell`` or ``--cmd``."""
_EXPECTED = "expected a URL, or an absolute path in the members' containers, found"


def multinode_job(group: VMGroup, options: argparse.Namespace) -> str:
    """Return the job as YAML.

    ``device_type`` of `options` is LAVA's type of the devices whose jobs run the VMs' nodes, and
    ``docker_image`` the image of all members.  Raises `JobError` if the job names a file by a
    relative path, except a test definition, which becomes part of the job.
    """
    documents = [to_document(group, node, secrets=True) for node in group.nodes]
    problems = [
        problem
        for document in documents
        for problem in _missing_files(document, group.settings.folder)
    ]
    if problems:
        raise JobError(
            "the members of LAVA's job would miss files", problems=list(dict.fromkeys(problems))
        )
    seconds = math.ceil(group.settings.timeout_s) + _END_S
    roles = [f"{node.role}-{node.number}" for node in group.nodes]
    wanted = (_wanted(group, node, options) for node in group.nodes)
    carried = [dict(_carried(document, group.settings.folder)) for document in documents]
    texts = [documents, carried]
    job = {
        "job_name": group.settings.name[:_MAX_NAME] or "VM group",
        # Everybody who sees a job sees its definitions.
        "visibility": "personal" if masked(texts) != texts else "public",
        "priority": "medium",
        "timeouts": {
            "job": {"seconds": seconds + _PREPARING_S},
            "action": {"seconds": seconds},
            "connection": {"minutes": 2},
        },
        "protocols": {
            "lava-multinode": {
                "roles": dict(zip(roles, wanted, strict=True)),
                "timeout": {"minutes": 5},
            }
        },
        "actions": [
            {
                "test": {
                    "role": [role],
                    "docker": _docker(options.docker_image),
                    "timeout": {"seconds": seconds},
                    "definitions": [_definition(document, files, options.output_dir)],
                }
            }
            for role, document, files in zip(roles, documents, carried, strict=True)
        ],
    }
    return safe_yaml.readable(job)


def _wanted(group: VMGroup, node: NodeJob, options: argparse.Namespace) -> dict[str, Any]:
    """Return LAVA's entry of a role, which one node has alone: sub-jobs of equal roles differ."""
    wanted: dict[str, Any] = {
        "device_type": node.device_type if node.is_host else options.device_type,
        "count": 1,
        # LAVA cancels the others if an essential member does not complete.
        "essential": not node.optional,
    }
    if node.is_host and group.settings.tags:
        wanted["tags"] = list(group.settings.tags)
    if node.is_host and options.target is not None:
        wanted["device"] = options.target
    return wanted


def _docker(image: str | None) -> dict[str, Any]:
    return {"image": image} if image else {"image": IMAGE, "local": True}


def _definition(
    document: dict[str, Any], carried: Mapping[str, str], output: Path | None
) -> dict[str, Any]:
    """Return a sub-job as a test definition of LAVA's, with the files that the sub-job needs."""
    del document["job_folder"]
    files = {**carried, "node.json": json.dumps(document, indent=1) + "\n"}
    return {
        "from": "inline",
        "name": "vm-group",
        "path": "inline/vm-group.yaml",
        "repository": {
            "metadata": _METADATA,
            "run": {"steps": [*map(_here, files, files.values()), _GROUP, _command(output)]},
        },
    }


def _command(output: Path | None) -> str:
    words = 'lava-dispatch --inside-lava --target-group "$group"'
    if output is not None:
        words += f' --output-dir {shlex.quote(str(output))}/"$LAVA_JOB_ID"'
    return f"{words} node.json"


def _here(name: str, text: str) -> str:
    """Return a shell command that writes a file."""
    if _CHANGED.search(text) and ("--shell" in text or "--cmd" in text):
        text, program = base64.encodebytes(text.encode()).decode(), "base64 -d"
    else:
        program = "cat"
    end = "END"
    while end in text:
        end += "_"
    return f"{program} >{name} <<'{end}'\n{text.rstrip()}\n{end}\n"


def _carried(document: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield a new name and the text of each local test definition, and let the sub-job use it."""
    names = (f"test-{number}.yaml" for number in count())
    for action in document["actions"]:
        urls = action["parameters"].get("testdef_urls", [])
        new = {url: next(names) for url in urls if _is_relative(local_path(url, Path()))}
        for url, name in new.items():
            yield name, _text_of(url, folder)
        if new:
            action["parameters"]["testdef_urls"] = [new.get(url, url) for url in urls]


def _text_of(url: str, folder: Path) -> str:
    path = local_path(url, folder)
    assert path is not None, "it is local"
    return read_text(path, Source(kind=SourceKind.URL, location=url))


def _missing_files(document: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield a problem for each local file that a sub-job names, except test definitions."""
    schemas = actions.parameter_schemas()
    for action in document["actions"]:
        command, parameters = action["command"], action["parameters"]
        for name, value in _references(schemas[command]["properties"], parameters):
            url = FileReference.of(value).url
            if _is_relative(local_path(url, Path())):
                yield f"{command}: {name}: {_EXPECTED} {url!r}"
        for entry in parameters.get("testdef_repos", []):
            for place in _places(parse_source(entry)):
                yield f"{command}: testdef_repos: {_EXPECTED} {place!r}"
        for url in parameters.get("testdef_urls", []):
            if _is_relative(local_path(url, Path())):
                definition = parse_definition(_text_of(url, folder), source=url)
                for place in _places_in(definition):
                    yield f"{command}: {url}: {_EXPECTED} {place!r}"


def _places_in(definition: TestDefinition) -> Iterator[str]:
    """Yield the relative paths that a test definition names."""
    for source in definition.test_case_deps:
        yield from _places(source)
    for url in [one.url for one in definition.git_repositories] + [*definition.bzr_repositories]:
        if _is_relative(local_repository(url, Path())):
            yield url


def _places(source: Source) -> Iterator[str]:
    """Yield the place of a test definition if it is a relative path."""
    match source.kind:
        case SourceKind.URL:
            path = local_path(source.location, Path())
        case SourceKind.GIT | SourceKind.BZR:
            path = local_repository(source.location, Path())
        case _:
            return
    if _is_relative(path):
        yield source.location


def _is_relative(path: Path | None) -> bool:
    return path is not None and not path.is_absolute()


def _references(schemas: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the parameters that name files."""
    for name, value in parameters.items():
        if schemas.get(name) is FILE_SCHEMA:
            yield name, value
        elif name == "customize":
            yield from ((name, source) for source in value if source != customize.DELETE)
        elif isinstance(value, list) and schemas[name].get("items") is FILE_SCHEMA:
            yield from ((name, item) for item in value)
