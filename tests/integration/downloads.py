# SPDX-License-Identifier: MIT
"""Downloads of a job, and what its cache keeps of them."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lava_vmgroup.base.cancel import CancelToken
from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.job.reference import FileReference

DATA = os.urandom(3_000_000)


SHA256 = hashlib.sha256(DATA).hexdigest()


def soon(token: CancelToken | None = None) -> Deadline:
    return Deadline.after("the test", 60.0, token)


@contextmanager
def job(folder: Path, **config: Any) -> Iterator[JobFiles]:
    """The files of one job; jobs in the same folder share a cache."""
    settings = DispatcherConfig(lava_cachedir=folder / "cache", **config)
    work = folder / f"work{len(list(folder.iterdir()))}"
    work.mkdir()
    with JobFiles(folder, settings, work) as files:
        yield files


def download(files: JobFiles, url: str, **digests: str) -> Path:
    return files.fetch(FileReference.of({"url": url, **digests}), soon(), NodeLog())


def kept(folder: Path) -> list[str]:
    """The names of all files and unfinished downloads in the cache."""
    areas = ("sha256", "unpacked", "parts", "scratch")
    return sorted(path.name for area in areas for path in (folder / "cache" / area).glob("*"))
