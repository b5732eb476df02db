# SPDX-License-Identifier: MIT
"""Files that the lab's configuration names, such as its master image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import ConfigurationError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.config.device import DeviceConfig
from lava_vmgroup.deploy.fetch import JobFiles
from lava_vmgroup.deploy.unpack import Unpack
from lava_vmgroup.job.reference import FileReference


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFiles:
    """The files that keys of a device name."""

    config: DeviceConfig
    files: JobFiles
    log: NodeLog

    def fetch(self, key: str, deadline: Deadline, purpose: Unpack = Unpack.NEVER) -> Path | None:
        """Return the file that a key names by an absolute path or a URL; None if it is empty.

        Blocks while the file is downloaded and unpacked.  Raises `ConfigurationError` if there is
        no such file.
        """
        reference: str = getattr(self.config, key)
        if not reference:
            return None
        place = self.config.place(key)
        if not urlsplit(reference).scheme and not Path(reference).is_absolute():
            raise ConfigurationError(
                f"{place}: expected an absolute path or a URL, not {reference!r}",
                hint="correct it there",
            )
        try:
            return self.files.fetch(FileReference(url=reference), deadline, self.log, purpose)
        except JobError as error:
            raise ConfigurationError(
                f"{place}: {error.message}",
                hint=error.hint or "name an existing file or a URL there",
            ) from error
