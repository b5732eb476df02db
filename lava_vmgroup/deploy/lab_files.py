# SPDX-License-Identifier: MIT
"""Files that the lab's configuration names, such as its master image."""

from __future__ import annotations

from pathlib import Path

from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.deadline import Deadline
from lava_vmgroup.deploy.fetch import fetch
from lava_vmgroup.errors import ConfigurationError, JobError


def fetch_configured(
    config: DeviceConfig, key: str, downloads: Path, deadline: Deadline
) -> Path | None:
    """The file that a key names by an absolute path or a URL; None when it names none.

    Raises `ConfigurationError` when there is no such file.
    """
    reference: str = getattr(config, key)
    if not reference:
        return None
    try:
        return fetch(reference, Path("/"), downloads / key, deadline)
    except JobError as error:
        raise ConfigurationError(
            f"{config.place(key)}: {error.message}",
            hint=error.hint or "name an existing file or a URL there",
        ) from error
