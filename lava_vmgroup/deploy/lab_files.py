# SPDX-License-Identifier: MIT
"""Files that the lab's configuration names, such as its master image."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.reference import FileReference


def fetch_configured(
    config: DeviceConfig,
    key: str,
    files: JobFiles,
    log: NodeLog,
    deadline: Deadline,
    purpose: Unpack = Unpack.NEVER,
) -> Path | None:
    """Return the file that a key names by an absolute path or a URL; None if the key is empty.

    Raises `ConfigurationError` if there is no such file.
    """
    reference: str = getattr(config, key)
    if not reference:
        return None
    if not urlsplit(reference).scheme and not Path(reference).is_absolute():
        raise ConfigurationError(
            f"{config.place(key)}: expected an absolute path or a URL, not {reference!r}",
            hint="correct it there",
        )
    try:
        return files.fetch(FileReference(url=reference), deadline, log, purpose)
    except JobError as error:
        raise ConfigurationError(
            f"{config.place(key)}: {error.message}",
            hint=error.hint or "name an existing file or a URL there",
        ) from error
