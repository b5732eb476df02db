# SPDX-License-Identifier: MIT
"""From what a job says of a file (a path, a URL) to a file on the dispatcher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from lava_vmgroup.connections.stream import CHUNK
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.errors import InfrastructureError, JobError

_CONNECT_S = 30.0

_NOT_RAW = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"QFI\xfb": "qcow2",
}


def local_path(reference: str, folder: Path) -> Path | None:
    """The file that `reference` names, relative to the job's `folder`; None for a download."""
    url = urlsplit(reference)
    if url.scheme in ("http", "https"):
        return None
    if url.scheme not in ("", "file"):
        raise JobError(
            f"cannot fetch {reference!r}", hint="give a path, or a file:, http: or https: URL"
        )
    return folder / unquote(url.path if url.scheme else reference)


def reference_problems(reference: str, folder: Path, *, disk: bool = False) -> Iterator[str]:
    """What is wrong with a reference to a file, as far as that can be told beforehand.

    With `disk`, the file has to be a raw disk image.
    """
    try:
        path = local_path(reference, folder)
    except JobError as error:
        yield error.describe()
        return
    if path is None:
        return
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        yield f"cannot read {path}: {error.strerror}"
        return
    for magic, name in _NOT_RAW.items():
        if disk and head.startswith(magic):
            yield f"{path} is {name}: give the raw file, {name} is not supported yet"
    if not head:
        yield f"{path} is empty"


def fetch(reference: str, folder: Path, downloads: Path, deadline: Deadline) -> Path:
    """The file that `reference` names, downloaded into `downloads` where it must be."""
    path = local_path(reference, folder)
    if path is not None:
        if not path.is_file():
            raise JobError(f"there is no file {path}")
        return path
    name = Path(unquote(urlsplit(reference).path)).name or "download"
    return _download(reference, downloads / name, deadline)


def _download(url: str, target: Path, deadline: Deadline) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            requests.get(url, stream=True, timeout=min(_CONNECT_S, deadline.remaining_s)) as answer,
            target.open("wb") as stream,
        ):
            if 400 <= answer.status_code < 500:
                raise JobError(f"cannot download {url}: HTTP status {answer.status_code}")
            answer.raise_for_status()
            for chunk in answer.iter_content(CHUNK):
                deadline.check()
                stream.write(chunk)
    except requests.RequestException as error:
        raise InfrastructureError(f"cannot download {url}: {error}") from error
    return target
